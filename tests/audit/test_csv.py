"""CSV that Excel may open: nothing begins a formula, nothing is unseen, every row is a row."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.office import csv_rows
from audit.office.visible import UNSEEN, cell, visible

NASTY = ["=1+1", "+1", "-1", "@x", "\t=1", "\r", "＝1", " =1", '"', ",=", '","', "\n", "\u202e"]
WORDS = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TEXT = st.lists(WORDS, max_size=4)
ROWS = st.lists(st.tuples(TEXT.map("".join), TEXT.map("".join), st.integers() | st.none()))


def read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


@given(ROWS)
def test_what_is_written_is_read_back_guarded(rows: list[tuple[str, str, int | None]]) -> None:
    """The time in front is of our own making: the look at a whole batch relies on that."""
    data = csv_rows.write([["2026", *row] for row in rows])
    wanted = [["2026", *(cell("" if v is None else str(v)) for v in row)] for row in rows]
    assert read(data) == wanted
    assert data.count(b"\r\n") == len(rows) == data.count(b"\n") == data.count(b"\r")


@given(TEXT.map("".join))
def test_no_cell_begins_a_formula_or_hides_anything(text: str) -> None:
    shown = cell(text)
    assert not shown.lstrip().startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
    assert UNSEEN.search(shown) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("客服助手", "客服助手"),
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("＠SUM", "'＠SUM"),
        (" \u3000-1", "' \u3000-1"),
        ("\t1", "'<U+0009>1"),
        ("a\r\nb", "a<U+000D><U+000A>b"),
        ("a\u202eb\u200b", "a<U+202E>b<U+200B>"),
        ("\x1b[31m", "<U+001B>[31m"),
        ("\U000e0041", "<U+E0041>"),
    ],
)
def test_a_cell(text: str, shown: str) -> None:
    assert cell(text) == shown


def test_text_of_ours_keeps_its_lines() -> None:
    assert visible("{\n\t\u202e}", lines=True) == "{\n<U+0009><U+202E>}"
