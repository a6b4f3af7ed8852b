"""What went wrong with a row of a task, in the reader's words; and the words of its page's script."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

ERRORS: dict[str, StrOrPromise] = {
    "input_too_long": gettext_lazy("The text and its answer do not fit into the model's context. It was not answered, because a part of it would have been cut off."),
    "output_empty": gettext_lazy("The model answered nothing."),
    "output_cut": gettext_lazy("The answer was cut off at its longest, so its fields are not complete."),
    "model_not_found": gettext_lazy("You are no longer granted this, or it is gone. A security administrator can help."),
    "not_in_service": gettext_lazy("It is not in service now. A system administrator can start it."),
    "overloaded": gettext_lazy("Too much is under way just now. Try again in a moment."),
    "node_unreachable": gettext_lazy("The machine that answers broke off or cannot be reached. Try again; if it stays, a system administrator can look at it."),
    "node_error": gettext_lazy("The machine that answers could not answer this."),
    "log_unavailable": gettext_lazy("The audit log cannot be written, so nothing is answered. Try again in a moment."),
    "notice_changed": gettext_lazy("What is kept of prompts and answers here has changed. Reload the page and read it."),
    "request_too_large": gettext_lazy("The text is too large to be sent."),
}  # fmt: skip
# The keyword of the schema -> what is asked for. `field` is empty for the answer as a whole.
PROBLEMS: dict[str, StrOrPromise] = {
    "json": gettext_lazy("The answer is free text and not fields."),
    "enum": gettext_lazy("“%(field)s” must be one of: %(expected)s."),
    "const": gettext_lazy("“%(field)s” must be: %(expected)s."),
    "required": gettext_lazy("The field “%(missing)s” is missing."),
    "additionalProperties": gettext_lazy("The answer has fields that do not belong to it."),
    "maxLength": gettext_lazy("“%(field)s” is longer than %(expected)s characters."),
    "minLength": gettext_lazy("“%(field)s” is shorter than %(expected)s characters."),
    "minimum": gettext_lazy("“%(field)s” is less than %(expected)s."),
    "maximum": gettext_lazy("“%(field)s” is more than %(expected)s."),
}
TYPES: dict[str, StrOrPromise] = {
    "string": gettext_lazy("“%(field)s” must be a text."),
    "number": gettext_lazy("“%(field)s” must be a number."),
    "integer": gettext_lazy("“%(field)s” must be a whole number."),
    "boolean": gettext_lazy("“%(field)s” must be yes or no."),
    "array": gettext_lazy("“%(field)s” must be a list."),
}
# Everything that the page's script says.
PAGE: dict[str, StrOrPromise] = {
    "waiting": gettext_lazy("Waiting"),
    "running": gettext_lazy("Under way"),
    "done": gettext_lazy("Answered"),
    "failed": gettext_lazy("Failed"),
    "long": gettext_lazy("Too long"),
    "edited": gettext_lazy("Answered, edited by you"),
    "summary": gettext_lazy("{done} of {all} answered, {failed} failed, {waiting} waiting"),
    "finished": gettext_lazy("Finished: {done} answered, {failed} failed."),
    "stopped": gettext_lazy("Stopped. {waiting} texts are still waiting."),
    "stoppedBecause": gettext_lazy("Stopped, because the same thing failed several times: {why}"),
    "added": gettext_lazy("{count} texts added."),
    "nothing": gettext_lazy("There is no text to add."),
    "tooMany": gettext_lazy("A table has at most {most} texts. {left} were not added."),
    "longHint": gettext_lazy("About {have} tokens; about {room} fit. It was not sent, because a part of it would have been cut off."),
    "split": gettext_lazy("Split into {count} parts"),
    "anyway": gettext_lazy("Send it as it is"),
    "part": gettext_lazy("part {number} of {count}"),
    "again": gettext_lazy("Try again"),
    "remove": gettext_lazy("Remove"),
    "raw": gettext_lazy("What the model wrote"),
    "cut": gettext_lazy("The answer ends at its longest and may be incomplete."),
    "answer": gettext_lazy("Answer"),
    "text": gettext_lazy("Text"),
    "state": gettext_lazy("State"),
    "problem": gettext_lazy("What is wrong"),
    "row": gettext_lazy("Row {number}: {column}"),
    "yes": gettext_lazy("yes"),
    "no": gettext_lazy("no"),
    "noNumber": gettext_lazy("This is no number."),
    "noJson": gettext_lazy("This is no valid JSON."),
    "broken": gettext_lazy("The connection broke. Try again."),
    "signedOut": gettext_lazy("You have been signed out. Sign in again in another tab, then go on here; the table stays."),
    "denied": gettext_lazy("You are no longer granted this. What was answered stays in the table until you leave."),
    "reading": gettext_lazy("Reading {name} …"),
    "read": gettext_lazy("{name}: {count} texts"),
    "refused": gettext_lazy("{name}: {why}"),
    "tooLarge": gettext_lazy("It is larger than {most} MB. Split it, or paste the part that matters."),
    "copied": gettext_lazy("The table is copied."),
    "notCopied": gettext_lazy("The browser does not let the page copy. Download it instead."),
    "saved": gettext_lazy("The table is downloaded."),
    "notSaved": gettext_lazy("The file could not be made. Try again."),
    "clear": gettext_lazy("Remove all texts and their answers from this page? They are kept nowhere else."),
}  # fmt: skip
MISSING = re.compile(r"^'(.+)' is a required property$")


def said(error: dict[str, Any]) -> str:
    """An error of the gateway, in words that say what to do."""
    if error.get("code") == "output_invalid":
        return " ".join(dict.fromkeys(_problem(each) for each in error.get("problems", [])[:3]))
    words = ERRORS.get(str(error.get("code")))
    return str(words) if words else str(error.get("message", ""))


def _problem(problem: dict[str, str]) -> str:
    what = problem.get("what", "")
    words = TYPES.get(problem["expected"]) if what == "type" else PROBLEMS.get(what)
    if words is None or (what == "type" and not problem.get("field")):
        words = gettext_lazy("“%(field)s” breaks a rule of the form (%(what)s).")
        if not problem.get("field"):
            words = gettext_lazy("The answer breaks a rule of the form (%(what)s).")
    found = MISSING.match(problem.get("message", ""))
    return str(words) % {**problem, "missing": found[1] if found else "?"}


def of_page() -> dict[str, str]:
    return {name: str(words) for name, words in PAGE.items()}
