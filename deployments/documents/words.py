"""What is wrong with a document, in words that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from deployments.documents.reading import MOST_CHARACTERS, MOST_RECORDS, Reading

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

PROBLEMS: dict[str, StrOrPromise] = {
    "empty": gettext_lazy("The file is empty."),
    "no_text": gettext_lazy("There is no text in it."),
    "too_large": gettext_lazy("It is larger than %(most_mb)s MB. Split it, or paste the part that matters."),
    "kind": gettext_lazy("Files of this kind are not read. Save it as .txt, .md, .csv, .pdf or .docx, or paste its text."),
    "old_word": gettext_lazy("It is a Word file of the old kind. Save it as .docx, then choose it again."),
    "not_what_it_says": gettext_lazy("Inside it is something else than its name says. Open it in the program that made it and save it again."),
    "password": gettext_lazy("It is protected by a password. Save a copy without one, then choose that."),
    "scanned": gettext_lazy("It holds pictures of pages and no text: it was scanned. Have a program for text recognition (OCR) make text of it first."),
    "pages": gettext_lazy("It has %(have)s pages; %(most_pages)s are the most. Split it, or paste the part that matters."),
    "records": gettext_lazy("It has %(have)s records; %(most_records)s are the most. Split it."),
    "too_long": gettext_lazy("It has more than %(most_characters)s characters. Split it, or paste the part that matters."),
    "encoding": gettext_lazy("It is damaged, or in an encoding that cannot be told for sure. Save it as UTF-8, then choose it again."),
    "bomb": gettext_lazy("It unpacks to far more than a document holds, so it was not opened."),
    "memory": gettext_lazy("Reading it took too much memory and was stopped. Save it anew, or paste the part that matters."),
    "time": gettext_lazy("Reading it took too long and was stopped. Save it anew, or paste the part that matters."),
    "busy": gettext_lazy("Too many documents are being read just now. Try again in a moment."),
    "unreadable": gettext_lazy("It is damaged and cannot be read. Open it in the program that made it and save it again."),
}  # fmt: skip


def problem(reading: Reading) -> str:
    """Why there is no text, and what to do."""
    words = PROBLEMS.get(reading.problem, PROBLEMS["unreadable"])
    return str(words) % {"have": "?", **reading.facts, **limits()}


def limits() -> dict[str, int]:
    """For pages that say the limits beforehand."""
    return {
        "most_mb": settings.DOCUMENT_MAX_BYTES // 1_000_000,
        "most_pages": settings.DOCUMENT_MAX_PAGES,
        "most_records": MOST_RECORDS,
        "most_characters": MOST_CHARACTERS,
    }


def left_out(reading: Reading) -> str:
    """What of a document is not in its text; empty when all of it is."""
    if not reading.without_text:
        return ""
    pages = ", ".join(map(str, reading.without_text[:20]))
    if len(reading.without_text) > 20:
        pages += ", …"
    return _("Left out, because they are pictures without text: pages %(pages)s.") % {
        "pages": pages
    }
