"""A table of texts as a file for spreadsheets: nothing in it is a formula. Pure."""

from __future__ import annotations

import csv
import io
import re

from xlsxwriter import Workbook

from audit.office.csv_rows import BOM
from audit.office.formats.xlsx import MAX_CELL, OPTIONS, plain
from audit.office.visible import FORMULA, visible

NUMBER = re.compile(r"^[+-]?\d{1,15}(\.\d{1,15})?$")
WIDTH = 28
# A cell takes so many UTF-16 units; a sign may need two.
MOST = MAX_CELL // 2
LEFT_OUT = " […+%d]"


def guarded(text: str) -> str:
    """As a spreadsheet may open it. Plain numbers stay numbers, with their sign."""
    shown = visible(text, lines=True)
    formula = text.startswith(FORMULA) or text.lstrip().startswith(FORMULA)
    return f"'{shown}" if formula and not NUMBER.match(text) else shown


def as_csv(rows: list[list[str]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows([[guarded(c) for c in r] for r in rows])
    return BOM + buffer.getvalue().encode()


def _fitting(text: str) -> str:
    """As long as a cell may be; what had to be left out is said, and is whole in a CSV."""
    shown = plain(visible(text, lines=True))
    if len(shown) <= MOST:
        return shown
    kept = MOST - len(LEFT_OUT) - 8
    return shown[:kept] + LEFT_OUT % (len(shown) - kept)


def as_xlsx(rows: list[list[str]]) -> bytes:
    """Strings only: what looks like a formula, a link or a date stays what was read."""
    file = io.BytesIO()
    book = Workbook(file, {**OPTIONS, "constant_memory": False, "in_memory": True})
    sheet = book.add_worksheet()
    style = book.add_format({"text_wrap": True, "valign": "top"})
    bold = book.add_format({"bold": True})
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet.write_string(number, column, _fitting(value), style if number else bold)
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, max(map(len, rows), default=1), WIDTH)
    book.close()
    return file.getvalue()
