"""What went wrong with a row of a task, in the reader's words; and the words of its page's script."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
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
    """Everything that the page's script says."""
    return {
        "waiting": _("Waiting"),
        "running": _("Under way"),
        "done": _("Answered"),
        "failed": _("Failed"),
        "long": _("Too long"),
        "edited": _("Answered, edited by you"),
        "summary": _("{done} of {all} answered, {failed} failed, {waiting} waiting"),
        "finished": _("Finished: {done} answered, {failed} failed."),
        "stopped": _("Stopped. {waiting} texts are still waiting."),
        "stoppedBecause": _("Stopped, because the same thing failed several times: {why}"),
        "added": _("{count} texts added."),
        "nothing": _("There is no text to add."),
        "tooMany": _("A table has at most {most} texts. {left} were not added."),
        "longHint": _("About {have} tokens; about {room} fit. It was not sent, because a part of it would have been cut off."),
        "split": _("Split into {count} parts"),
        "anyway": _("Send it as it is"),
        "part": _("part {number} of {count}"),
        "again": _("Try again"),
        "remove": _("Remove"),
        "raw": _("What the model wrote"),
        "cut": _("The answer ends at its longest and may be incomplete."),
        "answer": _("Answer"),
        "text": _("Text"),
        "state": _("State"),
        "problem": _("What is wrong"),
        "row": _("Row {number}: {column}"),
        "yes": _("yes"),
        "no": _("no"),
        "noNumber": _("This is no number."),
        "noJson": _("This is no valid JSON."),
        "broken": _("The connection broke. Try again."),
        "signedOut": _("You have been signed out. Sign in again in another tab, then go on here; the table stays."),
        "denied": _("You are no longer granted this. What was answered stays in the table until you leave."),
        "reading": _("Reading {name} …"),
        "read": _("{name}: {count} texts"),
        "refused": _("{name}: {why}"),
        "tooLarge": _("It is larger than {most} MB. Split it, or paste the part that matters."),
        "copied": _("The table is copied."),
        "notCopied": _("The browser does not let the page copy. Download it instead."),
        "saved": _("The table is downloaded."),
        "notSaved": _("The file could not be made. Try again."),
        "clear": _("Remove all texts and their answers from this page? They are kept nowhere else."),
    }  # fmt: skip
