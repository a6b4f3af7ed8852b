"""Events as an Excel workbook: strings only, so that nothing in it is a formula, a link or a date.

It is made on disk, row by row, and sent when it is whole; what does not fit a sheet goes on in
another, and the first sheet lists them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.worksheet import Worksheet

from audit.office import csv_rows
from audit.office.filter_words import in_words
from audit.office.formats.base import PIECE_BYTES, About, Draw, Format, Record
from audit.office.visible import visible

SHEET_ROWS = 1_048_576
MAX_CELL = 32_767
OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def plain(text: str) -> str:
    """xlsxwriter takes what looks like a rich string for XML of its own: with an apostrophe in
    front it is a text like any other."""
    return f"'{text}" if text.startswith("<r>") and text.endswith("</r>") else text


def text(value: object) -> str:
    """As a cell may hold it: nothing unseen, no longer than Excel counts (in UTF-16)."""
    shown = plain(visible("" if value is None else str(value)))
    if len(shown) * 2 > MAX_CELL and len(shown.encode("utf-16-le")) > MAX_CELL * 2:
        cut = shown.encode("utf-16-le")[: (MAX_CELL - 1) * 2]
        return cut.decode("utf-16-le", "ignore") + "…"
    return shown


class _Book:
    """A workbook under way: an index, and sheets of rows below a header."""

    def __init__(self, path: Path, folder: Path, about: About, wanted: str) -> None:
        self._rows = csv_rows.Rows()
        self._about = about
        self._wanted = wanted
        self._book = Workbook(str(path), {**OPTIONS, "tmpdir": str(folder)})
        self._book.use_zip64()
        self._bold = self._book.add_format({"bold": True})
        self._index = self._book.add_worksheet(_("Index"))
        self._sheets: list[list[str]] = []
        self._sheet: Worksheet | None = None
        self._at = 0

    def add(self, record: Record) -> None:
        cells = self._rows.cells(record)
        if self._sheet is None or self._at == SHEET_ROWS:
            self._sheet = self._begin()
        _write(self._sheet, self._at, cells)
        name, first, _last, _count = self._sheets[-1]
        self._sheets[-1] = [name, first or str(cells[0]), str(cells[0]), str(self._at)]
        self._at += 1

    def close(self) -> None:
        if self._sheet is None:
            self._begin()
        rows: list[list[str]] = [
            [_("Events"), str(sum(int(sheet[3]) for sheet in self._sheets))],
            [_("Filter"), self._wanted or _("everything")],
            [_("Made at"), f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S%z}"],
            *([name, value] for name, value in self._about.extra.items()),
            [],
        ]
        for number, row in enumerate(rows):
            _write(self._index, number, row)
        header = [_("Sheet"), _("First"), _("Last"), _("Events")]
        _write(self._index, len(rows), header, self._bold)
        for number, row in enumerate(self._sheets, len(rows) + 1):
            _write(self._index, number, row)
        self._index.set_column(0, 0, 24)
        self._index.set_column(1, 2, 30)
        try:
            self._book.close()
        except FileCreateError as error:
            # What it is made of: an OSError, such as a full disk.
            raise error.args[0] from error

    def _begin(self) -> Worksheet:
        name = _("Events %(number)d") % {"number": len(self._sheets) + 1}
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, 1, 28)
        sheet.set_column(2, 21, 20)
        _write(sheet, 0, self._rows.header, self._bold)
        self._sheets.append([name, "", "", "0"])
        self._at = 1
        return sheet


def _write(sheet: Worksheet, row: int, cells: list[Any], style: Any = None) -> None:
    for column, value in enumerate(cells):
        if shown := text(value):
            sheet.write_string(row, column, shown, style)


def _begin(about: About) -> Draw:
    # The language of now is the one of the reader; the pieces may be drawn under another.
    language = translation.get_language() or "en"
    wanted = "; ".join(f"{label}: {value}" for label, value in in_words(about.wanted).values())

    def draw(records: Iterator[Record]) -> Iterator[bytes]:
        with tempfile.TemporaryDirectory(dir=about.folder, prefix=".xlsx-") as made:
            path = Path(made) / "events.xlsx"
            with translation.override(language):
                book = _Book(path, Path(made), about, wanted)
                for record in records:
                    book.add(record)
                book.close()
            with path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece

    return draw


XLSX = Format(
    name="xlsx",
    title="Excel",
    purpose=gettext_lazy("A workbook of texts: no formulas, split at Excel's limit"),
    content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    columns=csv_rows.select,
    types=["bytea", *["text"] * len(csv_rows.TEXTS)],
    begin=_begin,
    in_request=200_000,
)
