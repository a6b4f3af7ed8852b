"""Word (.docx): the text of its body and notes, from the XML itself. Only in the child.

Read here and not by a library for Word, because such libraries leave out what stands in tracked
insertions, content controls, text boxes and notes. Headers, footers and comments are not read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from deployments.documents.found import Found, Problem

BODY = "word/document.xml"
PARTS = (BODY, "word/footnotes.xml", "word/endnotes.xml")
MAX_ENTRIES = 5_000
MAX_PART = 64 * 1024 * 1024
# Office's own files stay below 30; a bomb is in the hundreds.
MAX_RATIO = 250
# What is no text of the document: deleted, or told a second time for older programs.
LEFT_OUT = {"del", "moveFrom", "Fallback", "pPr", "rPr", "instrText"}


def read(data: bytes, limits: dict[str, int]) -> Found:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            lines = [line for name in _parts(archive) for line in _lines(archive, name)]
            pictures = any(n.startswith("word/media/") for n in archive.namelist())
    except DefusedXmlException as error:
        raise Problem("bomb") from error
    except (zipfile.BadZipFile, ParseError, EOFError, NotImplementedError, ValueError) as error:
        raise Problem("unreadable") from error
    except RuntimeError as error:
        # zipfile's word for an entry with a password.
        raise Problem("password") from error
    text = "\n".join(lines)
    if not text.strip() and pictures:
        raise Problem("scanned")
    return Found("docx", text)


def _parts(archive: zipfile.ZipFile) -> list[str]:
    """The parts to read, if none of them is a bomb by its own account."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise Problem("bomb")
    for entry in entries:
        if entry.file_size > MAX_PART or entry.file_size > MAX_RATIO * max(
            entry.compress_size, 4096
        ):
            raise Problem("bomb")
    names = {entry.filename for entry in entries}
    if BODY not in names:
        raise Problem("not_what_it_says", said=".docx")
    return [name for name in PARTS if name in names]


class _Bounded:
    """What unpacks to more than it said is a bomb, too."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, MAX_PART

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(min(size, 65_536) if size > 0 else 65_536)
        self._left -= len(piece)
        if self._left < 0:
            raise Problem("bomb")
        return piece


def _lines(archive: zipfile.ZipFile, name: str) -> list[str]:
    with archive.open(name) as file:
        text = _Text()
        for event, element in iterparse(_Bounded(file), events=("start", "end"), forbid_dtd=True):
            text.take(event, element)
    return text.lines


class _Text:
    """Paragraphs as lines; the cells of a table's row on one line, with tabs between."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._places: list[list[str]] = [self.lines]
        self._rows: list[list[str]] = []
        self._paragraphs: list[list[str]] = []
        self._hidden = 0

    def take(self, event: str, element: Any) -> None:
        tag = element.tag.rpartition("}")[2]
        if tag in LEFT_OUT:
            self._hidden += 1 if event == "start" else -1
        elif self._hidden:
            return
        elif event == "start":
            self._begin(tag)
        else:
            self._end(tag, element)

    def _begin(self, tag: str) -> None:
        if tag == "p":
            self._paragraphs.append([])
        elif tag == "tr":
            self._rows.append([])
        elif tag == "tc":
            self._places.append([])

    def _end(self, tag: str, element: Any) -> None:
        if tag == "p" and self._paragraphs:
            self._places[-1].append("".join(self._paragraphs.pop()))
            element.clear()
        elif tag == "tc" and len(self._places) > 1 and self._rows:
            self._rows[-1].append(" ".join(filter(None, self._places.pop())))
        elif tag == "tr" and self._rows:
            self._places[-1].append("\t".join(self._rows.pop()))
            element.clear()
        elif self._paragraphs:
            self._paragraphs[-1].extend(_shown(tag, element))


def _shown(tag: str, element: Any) -> Iterator[str]:
    if tag == "t":
        yield element.text or ""
    elif tag == "tab":
        yield "\t"
    elif tag in ("br", "cr"):
        yield "\n"
