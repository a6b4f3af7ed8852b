"""The evidence pack on paper, in Chinese and English, red where something is off."""

from __future__ import annotations

import io
from collections.abc import Iterator

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    KeepTogether,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
)

from audit.office.evidence.finding import ATTENTION, NO_CLAIM, OK, RED, VERDICT_NAMES, Finding
from audit.office.evidence.pack import Clause, Pack
from audit.office.formats.pdf import BODY, FONT, HEAD, MARGIN, SMALL, TITLE, both, in_both

LONG = 1000
TONES = {RED: "#b42318", ATTENTION: "#8a5a00", OK: "#1b6e3c", NO_CLAIM: "#555555"}
INDENTED = ParagraphStyle("indented", BODY, leftIndent=5 * mm, spaceAfter=2)


def print_pack(pack: Pack) -> bytes:
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    file = io.BytesIO()
    document = SimpleDocTemplate(
        file, pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN,
        bottomMargin=MARGIN, title=f"Fusebox evidence {pack.key}", author="Fusebox",
    )  # fmt: skip
    document.build(list(_told(pack)), onFirstPage=_foot, onLaterPages=_foot)
    return file.getvalue()


def _told(pack: Pack) -> Iterator[Flowable]:
    yield Paragraph(both(_("Evidence pack")), TITLE)
    yield Paragraph(both(pack_title(pack)), HEAD)
    made = timezone.localtime(pack.made_at)
    yield Paragraph(f"{pack.log} · {made:%Y-%m-%d %H:%M:%S %z}", BODY)
    counts = "; ".join(f"{_verdict(v)}: {n}" for v, n in pack.counts.items())
    yield Paragraph(counts, BODY)
    told = _(
        "Each verdict is what the running installation answered when this was made. It is no"
        " certificate of conformity: whether a clause is met is for an assessor to say."
    )
    for text in in_both(told, LONG):
        yield Paragraph(text, SMALL)
    for clause in pack.clauses:
        yield Spacer(1, 5)
        yield KeepTogether(list(_clause(clause)))


def _clause(clause: Clause) -> Iterator[Flowable]:
    yield Paragraph(f"{both(clause.number)} · {_verdict(clause.verdict)}", HEAD)
    for text in in_both(_Of(clause, "text"), LONG):
        yield Paragraph(text, BODY)
    if clause.mark != "V":
        yield Paragraph(both(_Of(clause, "certainty")), SMALL)
    if clause.note:
        yield Paragraph(both(_Of(clause, "note")), SMALL)
    for text in in_both(_Of(clause, "what"), LONG):
        yield Paragraph(text, SMALL)
    for finding in clause.findings:
        yield from _finding(finding)


def _finding(finding: Finding) -> Iterator[Flowable]:
    for number, text in enumerate(in_both(_Both(finding), LONG)):
        lead = f"{_verdict(finding.verdict)} · " if not number else ""
        yield Paragraph(lead + text, INDENTED)


class _Of:
    """A text of a clause, made in the language that is asked for."""

    def __init__(self, owner: Clause | Pack, name: str) -> None:
        self._owner, self._name = owner, name

    def __str__(self) -> str:
        return str(getattr(self._owner, self._name))


class _Both:
    """Setting and proof of a finding, as one text."""

    def __init__(self, finding: Finding) -> None:
        self._finding = finding

    def __str__(self) -> str:
        return f"{self._finding.setting} {self._finding.proof}"


def pack_title(pack: Pack) -> _Of:
    return _Of(pack, "title")


def _verdict(verdict: str) -> str:
    name: str | Promise = VERDICT_NAMES[verdict]
    return f'<font color="{TONES[verdict]}">{both(name)}</font>'


def _foot(canvas: Canvas, document: BaseDocTemplate) -> None:
    canvas.setFont(FONT, 8)
    canvas.drawRightString(A4[0] - MARGIN, MARGIN / 2, str(document.page))
