"""A summary on one page, in Chinese and English: range, counts, first and last event, fingerprint.

The fingerprint is the SHA-256 of the same events as JSON Lines, so that the page and that file can
be held against each other.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Frame, KeepInFrame, Paragraph, Spacer, Table, TableStyle

from audit.ledger.models import Event
from audit.office.csv_rows import TEXTS
from audit.office.filter_words import in_words
from audit.office.filters import Filter
from audit.office.formats.base import About, Draw, Format, Record
from audit.office.reading import CATEGORY_NAMES, OUTCOME_NAMES, sentence
from audit.office.visible import visible

# One of the fonts every reader of PDF brings for Chinese; nothing has to be embedded.
FONT = "STSong-Light"
MARGIN = 18 * mm
MAX_LINE = 300
MAX_FILTER = 2500
MAX_EXTRA = 12
BODY = ParagraphStyle("body", fontName=FONT, fontSize=9.5, leading=13, wordWrap="CJK")
SMALL = ParagraphStyle("small", BODY, fontSize=8, leading=11, textColor=colors.HexColor("#444444"))
HEAD = ParagraphStyle("head", BODY, fontSize=11, leading=15, spaceBefore=8, spaceAfter=3)
TITLE = ParagraphStyle("title", BODY, fontSize=17, leading=23)
LINES = TableStyle(
    [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, colors.HexColor("#bbbbbb")),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ]
)


@dataclass
class Tally:
    """What one pass over the events counts."""

    events: int = 0
    first: Record | None = None
    last: Record | None = None
    by_category: Counter[str] = field(default_factory=Counter)
    by_outcome: Counter[str] = field(default_factory=Counter)
    digest: str = ""

    @classmethod
    def of(cls, records: Iterator[Record]) -> Tally:
        tally, digest = cls(), hashlib.sha256()
        for record in records:
            leaf, _time, _pk, act, outcome = record
            digest.update(leaf)
            digest.update(b"\n")
            tally.first = tally.first or record
            tally.last = record
            tally.events += 1
            tally.by_category[act.partition(".")[0]] += 1
            tally.by_outcome[outcome] += 1
        tally.digest = digest.hexdigest()
        return tally


def _columns(rows: QuerySet[Event]) -> QuerySet[Event, Any]:
    named = rows.annotate(utc_text=TEXTS["utc_text"], id_text=TEXTS["id_text"])
    return named.values_list("leaf", "utc_text", "id_text", "act", "outcome")


def page(about: About, tally: Tally, wanted: str) -> bytes:
    """The page. What is too long for it is set smaller: there is never a second one. wanted: the
    filter in words, without its times."""
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4)
    canvas.setTitle("Fusebox audit log summary")
    canvas.setAuthor("Fusebox")
    width, height = A4[0] - 2 * MARGIN, A4[1] - 2 * MARGIN
    frame = Frame(MARGIN, MARGIN, width, height, 0, 0, 0, 0)
    whole = KeepInFrame(width, height, [*_told(about, tally, wanted, width)], mode="shrink")
    frame.addFromList([whole], canvas)
    canvas.save()
    return file.getvalue()


def _told(about: About, tally: Tally, wanted: str, width: float) -> Iterator[Flowable]:
    yield Paragraph(both(_("Audit log summary")), TITLE)
    yield Spacer(1, 4)
    yield _table(list(_facts(about, tally, wanted)), [0.3 * width, 0.7 * width])
    yield Paragraph(both(_("Events by outcome")), HEAD)
    yield _counts(tally.by_outcome, OUTCOME_NAMES, width)
    yield Paragraph(both(_("Events by category")), HEAD)
    yield _counts(tally.by_category, CATEGORY_NAMES, width)
    yield Spacer(1, 8)
    told = _(
        "The fingerprint is the SHA-256 of the same events exported as JSON Lines. This page is a"
        " view; those bytes are the evidence."
    )
    for text in in_both(told):
        yield Paragraph(text, SMALL)
    yield Spacer(1, 14)
    signed = [both(_("Checked by, date")), both(_("Stamp"))]
    yield _table([signed, ["", ""]], [0.5 * width] * 2, heights=[None, 26 * mm])


def _filter(wanted: Filter) -> str:
    """In Chinese and English: every label, and every value, once."""
    rest = replace(wanted, start=None, end=None)
    told = [in_words(rest) for _language in _languages()]

    def once(name: str, part: int) -> str:
        return " / ".join(_unique(words[name][part] for words in told))

    return "; ".join(f"{once(name, 0)}: {once(name, 1)}" for name in rest.active())


def _facts(about: About, tally: Tally, wanted: str) -> Iterator[list[str]]:
    times = (about.wanted.start, about.wanted.end)
    moments = [_moment(time) for time in times]
    yield [both(_("Log")), _plain(settings.FUSEBOX_LOG_ORIGIN)]
    yield [
        both(_("Range")),
        " – ".join(moments) if any(times) else both(_("everything")),
    ]
    if wanted:
        yield [both(_("Filter")), _plain(wanted, MAX_FILTER)]
    yield [both(_("Events")), str(tally.events)]
    for title, record in ((_("First event"), tally.first), (_("Last event"), tally.last)):
        if record is not None:
            _leaf, at, pk, act, _outcome = record
            yield [both(title), f"{_plain(at)} · {_sentence(act)}<br/>{_plain(pk)}"]
    yield [both(_("Fingerprint (SHA-256)")), tally.digest]
    yield [both(_("Made at")), f"{timezone.localtime():%Y-%m-%d %H:%M:%S %z}"]
    for name, value in list(about.extra.items())[:MAX_EXTRA]:
        yield [_plain(name), _plain(value)]


def _counts(counted: Counter[str], names: dict[str, str | Promise], width: float) -> Table:
    """Name and number, in two columns."""
    cells = [(both(names.get(k, k)), str(n)) for k, n in counted.most_common()] or [("–", "0")]
    half = (len(cells) + 1) // 2
    left, right = cells[:half], [*cells[half:], ("", "")]
    rows = [[*pair, *right[i]] for i, pair in enumerate(left)]
    return _table(rows, [0.36 * width, 0.14 * width] * 2)


def _table(
    rows: Sequence[Sequence[str]],
    widths: Sequence[float],
    heights: Sequence[float | None] | None = None,
) -> Table:
    cells = [[Paragraph(cell, BODY) for cell in row] for row in rows]
    return Table(cells, colWidths=widths, rowHeights=heights, style=LINES)


def _moment(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %z}" if moment else "…"


def _sentence(act: str) -> str:
    return " / ".join(_unique(_plain(sentence(act)) for _language in _languages()))


def both(text: object) -> str:
    return " / ".join(in_both(text))


def in_both(text: object, limit: int = MAX_LINE) -> list[str]:
    return _unique(_plain(text, limit) for _language in _languages())


def _languages() -> Iterator[str]:
    for language in ("zh-hans", "en"):
        with translation.override(language):
            yield language


def _unique(texts: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _plain(text: object, limit: int = MAX_LINE) -> str:
    """Text as a paragraph may hold it: no markup, nothing unseen, nothing the font cannot name."""
    shown = visible(str(text))[:limit]
    named = "".join(c if ord(c) <= 0xFFFF else f"<U+{ord(c):04X}>" for c in shown)
    return escape(named)


def _begin(about: About) -> Draw:
    # Now, by the connection of who asks: the events may be read in a thread that has none.
    wanted = _filter(about.wanted)

    def draw(records: Iterator[Record]) -> Iterator[bytes]:
        yield page(about, Tally.of(records), wanted)

    return draw


PDF = Format(
    name="pdf",
    title="PDF",
    purpose=_("A summary on one page in Chinese and English, without the events"),
    content_type="application/pdf",
    columns=_columns,
    types=["bytea", "text", "text", "text", "text"],
    begin=_begin,
)
