"""PDF: the text of its pages, by pypdf. Only in the child."""

from __future__ import annotations

import io
import logging
import re
from typing import Any

from pypdf import PdfReader
from pypdf.errors import PdfReadError, PyPdfError
from pypdf.generic import DictionaryObject

from deployments.documents.found import Found, Problem
from deployments.documents.radicals import plain

# A stamp or a page number is no text of a page.
LEAST_LETTERS = 12
SPACES = re.compile(r"\s+")


def read(data: bytes, limits: dict[str, int]) -> Found:
    logging.disable(logging.CRITICAL)
    try:
        reader = _open(data)
        pages = len(reader.pages)
        if pages > limits["pages"]:
            raise Problem("pages", have=pages)
        return _found(reader, pages, limits["characters"])
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise Problem("unreadable") from error


def _open(data: bytes) -> PdfReader:
    reader = PdfReader(io.BytesIO(data), strict=False)
    # Protected against changes only: it opens with the empty password, as in every viewer.
    if reader.is_encrypted and not reader.decrypt(""):
        raise Problem("password")
    return reader


def _found(reader: PdfReader, pages: int, most: int) -> Found:
    texts, size, bare = [], 0, []
    for number, page in enumerate(reader.pages, 1):
        try:
            text = plain(page.extract_text()).strip()
        except PdfReadError as error:
            raise Problem("unreadable") from error
        if len(SPACES.sub("", text)) < LEAST_LETTERS and _has_picture(page):
            bare.append(number)
        texts.append(text)
        size += len(text)
        if size > most:
            raise Problem("too_long", have=size)
    if bare and len(bare) * 2 > pages:
        raise Problem("scanned")
    return Found("pdf", "\n\n".join(filter(None, texts)), pages=pages, without_text=bare)


def _has_picture(page: DictionaryObject, depth: int = 2) -> bool:
    """An image among what the page draws, directly or inside a form."""
    resources: Any = page.get("/Resources")
    objects: Any = resources.get_object().get("/XObject") if resources is not None else None
    for each in objects.get_object().values() if objects is not None else ():
        drawn = each.get_object()
        if drawn.get("/Subtype") == "/Image":
            return True
        if depth and drawn.get("/Subtype") == "/Form" and _has_picture(drawn, depth - 1):
            return True
    return False
