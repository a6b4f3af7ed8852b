"""Events as files, streamed in constant memory from one snapshot.

JSON Lines are the canonical leaf bytes, one a line: the only evidential form. CSV is a view for
people: opened personal values, the reader's language, safe to open in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.ledger.acts import REGISTRY, Act
from audit.ledger.models import Event
from audit.office.search import Filter, events
from audit.office.visible import cell

FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
CHUNK = 1000
BOM = "\ufeff"
COLUMNS = (
    _("Time (UTC)"),
    _("Local time"),
    _("What"),
    _("Action"),
    _("Outcome"),
    _("Reason"),
    _("Person"),
    _("Kind of actor"),
    _("Actor id"),
    _("Role"),
    _("Key id"),
    _("Object type"),
    _("Object"),
    _("Object id"),
    _("Deployment"),
    _("Model"),
    _("Tokens in"),
    _("Tokens out"),
    _("Address"),
    _("Request id"),
    _("Severity"),
    _("Event id"),
)


def chunks(wanted: Filter, format: str, up_to: UUID | None) -> Iterator[bytes]:
    """The file in pieces. `up_to` is the newest event of the snapshot; None is an empty log."""
    rows = events(wanted)
    rows = rows.filter(id__lte=up_to) if up_to else rows.none()
    with transaction.atomic():
        yield from (_csv(rows) if format == "csv" else _jsonl(rows))


def _jsonl(rows: QuerySet[Event]) -> Iterator[bytes]:
    leaves = rows.order_by("id").values_list("leaf", flat=True).iterator(chunk_size=CHUNK)
    while part := list(islice(leaves, CHUNK)):
        yield b"".join(bytes(leaf) + b"\n" for leaf in part)


def _csv(rows: QuerySet[Event]) -> Iterator[bytes]:
    """UTF-8 with BOM and CRLF, as Excel wants it."""
    yield BOM.encode() + _lines([[str(c) for c in COLUMNS]])
    found = iter(rows.order_by("id").iterator(chunk_size=CHUNK))
    while part := list(islice(found, CHUNK)):
        yield _lines(row(event) for event in part)


def _lines(rows: Iterable[list[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue().encode()


def row(event: Event) -> list[str]:
    """One event as the cells of COLUMNS."""
    leaf: dict[str, Any] = json.loads(bytes(event.leaf))
    personal = personal_of(event)
    use, ai = leaf.get("use", {}), leaf.get("ai", {})
    actor = leaf["actor"]
    values = (
        leaf["t"],
        timezone.localtime(event.at).strftime("%Y-%m-%d %H:%M:%S%z"),
        sentence(event.act),
        event.act,
        event.outcome,
        leaf.get("reason", ""),
        personal.get("actor.name") or actor.get("name", ""),
        event.actor_kind,
        event.actor_id,
        actor.get("role", ""),
        event.key_id,
        event.object_type,
        event.object_label or personal.get("obj.0.label", ""),
        event.object_id,
        event.deployment,
        ai.get("model", ""),
        use.get("in_tok", ""),
        use.get("out_tok", ""),
        personal.get("src.ip", ""),
        event.request_id,
        event.severity,
        event.pk,
    )
    return [cell(value) for value in values]


def personal_of(event: Event) -> dict[str, str]:
    """The opened personal values of an event; empty when they have been erased."""
    personal = getattr(event, "personal", None)
    return dict(personal.values) if personal else {}


def sentence(act: str) -> str:
    """The act in words; an act of a newer version is shown by its name."""
    known = {a.value for a in Act}
    return str(REGISTRY[Act(act)].sentence) if act in known else act
