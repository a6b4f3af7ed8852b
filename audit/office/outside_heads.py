"""Heads of one tree on which outsiders gave their word, for archives and for verification."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.ledger.note import BadNote
from audit.ledger.report import Report
from audit.office import stamps
from audit.office.outside_models import Cosignature, TimeStamp

MOST_WITNESSED = 7


@dataclass(frozen=True, slots=True)
class OutsideHead:
    """A head as it was shown outside: with cosignatures on it, or with a token over it."""

    size: int
    note: str
    token: bytes = b""


def cosigned(tree: int, size: int, note: str) -> str:
    """A head with the signatures of the witnesses that confirmed just this one."""
    found = _valid().filter(tree=tree, size=size).order_by("witness_id", "-at")
    lines = found.distinct("witness_id").values_list("note", "line")
    return note + "".join(line for head, line in lines if head == note)


def for_archive(tree: int, end: int, size: int) -> list[OutsideHead]:
    """The newest head of each witness, the first stamp over the first `end` events, and the newest.

    All of them are of the first `size` events at most.
    """
    own = TimeStamp.objects.filter(tree=tree, size__lte=size)
    chosen = {s.pk: s for s in (own.filter(size__gte=end).first(), own.last()) if s}
    found = [OutsideHead(s.size, s.note, bytes(s.token)) for s in chosen.values()]
    newest = _valid().filter(tree=tree, size__lte=size).order_by("witness_id", "-at")
    heads = {(c.size, c.note) for c in newest.distinct("witness_id")}
    for head_size, note in sorted(heads, reverse=True)[:MOST_WITNESSED]:
        found.append(OutsideHead(head_size, cosigned(tree, head_size, note)))
    return found


def notes(tree: int = 0, since: int = 0) -> list[str]:
    """The signed heads that outsiders gave their word on: the live log must have each of them.
    since: only those of that tree with so many leaves at least; 0 for all."""
    rows = (TimeStamp.objects, _valid())
    after = _after(tree, since)
    return sorted({note for r in rows for note in r.filter(after).values_list("note", flat=True)})


def check(report: Report, tree: int = 0, since: int = 0) -> None:
    """Whether each word is what it claims to be; `report` already knows whether the heads are."""
    after = _after(tree, since)
    told = list(_cosignatures(report, after))
    if told:
        report.notes.append(f"{len(told)} cosignatures of {len(set(told))} witnesses are theirs")
    _stamps(report, after)


def _after(tree: int, since: int) -> Q:
    """The heads that a verification compares which begins at a position of the newest tree."""
    return Q(tree=tree, size__gte=since) if since else Q()


def _cosignatures(report: Report, after: Q) -> Iterator[str]:
    for row in _valid().filter(after).select_related("witness"):
        head = row.note.partition("\n\n")[0] + "\n"
        try:
            row.witness.key.confirmed_at(row.line, head)
        except BadNote as error:
            report.tampered(f"the word of {row.witness} on {row.size} leaves: {error}")
        else:
            yield row.witness.name


def _stamps(report: Report, after: Q) -> None:
    rows = list(TimeStamp.objects.filter(after))
    roots = _roots()
    ends = [end for row in rows if (end := _end_of(report, row, roots))]
    if not rows:
        return
    if roots is None:
        report.notes.append(
            f"{len(rows)} time-stamps: whether they are over their heads was checked; who signed "
            "them was not, FUSEBOX_TSA_CA is not here"
        )
    else:
        report.notes.append(f"{len(ends)} of {len(rows)} time-stamps are the authority's")
    if expired := sum(end < timezone.now() for end in ends):
        report.notes.append(
            f"warning: the certificate behind {expired} time-stamps has expired; since then they "
            "are evidence of time only for as long as its key stays secret"
        )


def _end_of(
    report: Report, row: TimeStamp, roots: Sequence[x509.Certificate] | None
) -> datetime | None:
    """When the certificate behind a token ends, if its signature could be checked."""
    token, data = bytes(row.token), row.note.encode()
    try:
        if not stamps.is_over(token, data):
            report.tampered(f"the time-stamp of {row.size} leaves is over another head")
        elif roots is not None:
            return stamps.read(token, data, roots).expires
    except stamps.BadStamp as error:
        report.notes.append(
            f"warning: the time-stamp of {row.size} leaves counts for nothing: {error}"
        )
    return None


def _valid() -> QuerySet[Cosignature]:
    """A revoked witness's word counts no more."""
    return Cosignature.objects.filter(witness__revoked_at=None)


def _roots() -> list[x509.Certificate] | None:
    try:
        return stamps.read_roots(settings.TSA_CA) if settings.TSA_CA else None
    except ValueError:
        return None


def archived_stamps(path: Path) -> Iterator[str]:
    """Who signed the time-stamps of an archive that was verified otherwise; for people."""
    roots = _roots()
    with zipfile.ZipFile(path) as archive:
        tokens = [name for name in archive.namelist() if name.endswith(".tsr")]
        for name in tokens if roots else []:
            data = archive.read(name.removesuffix(".tsr") + ".txt")
            try:
                found = stamps.read(archive.read(name), data, roots or [])
            except stamps.BadStamp as error:
                yield f"time-stamp     warning: {name} counts for nothing: {error}"
                continue
            late = ", whose certificate has expired since" if found.expires < timezone.now() else ""
            yield f"time-stamp     {name}: {found.at.isoformat()} by {found.authority}{late}"
