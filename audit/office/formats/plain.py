"""JSON Lines, the canonical bytes as stored: the only evidential form; and CSV, for people."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from audit.office import csv_rows
from audit.office.formats.base import About, Draw, Format, Record, lines


def _begin_jsonl(about: About) -> Draw:
    return _leaves


def _leaves(records: Iterator[Record]) -> Iterator[bytes]:
    return lines(record[0] for record in records)


def _begin_csv(about: About) -> Draw:
    return csv_rows.Rows().pieces


JSONL = Format(
    name="jsonl",
    title="JSON Lines",
    purpose=_("The evidence: the bytes of each event as they are stored"),
    content_type="application/x-ndjson",
    columns=lambda rows: rows.values_list("leaf"),
    types=["bytea"],
    begin=_begin_jsonl,
)
CSV = Format(
    name="csv",
    title="CSV",
    purpose=_("For Excel and people: names opened, in your language"),
    content_type="text/csv; charset=utf-8",
    columns=csv_rows.select,
    types=["bytea", *["text"] * len(csv_rows.TEXTS)],
    begin=_begin_csv,
    rows=csv_rows.Rows,
)
