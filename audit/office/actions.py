"""The auditor's verbs. What an auditor does is recorded like everything else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change, Obj
from audit.ledger.models import Event
from audit.office import export as exporting
from audit.office import search as searching
from audit.office.search import Filter, Page

MERGE_S = 60


@dataclass(frozen=True, slots=True)
class Export:
    """An export that is already in the log: its pieces, and how many events they hold."""

    format: str
    content_type: str
    count: int
    chunks: Iterator[bytes]


def search(*, actor: Actor, wanted: Filter, before: str = "", after: str = "") -> Page:
    """A page of events. One event a filter and session within a minute: paging is not repeated."""
    policy.require(actor, Act.AUDIT_SEARCH)
    page = searching.page(wanted, before=before, after=after)
    mark = _mark(actor, wanted)
    since = timezone.now() - timedelta(seconds=MERGE_S)
    known = Event.objects.filter(
        act=Act.AUDIT_SEARCH, actor_id=actor.id, object_id=mark, at__gte=since
    )
    if not known.exists():
        with transaction.atomic():
            log.record(
                actor,
                Act.AUDIT_SEARCH,
                Obj("search", mark),
                changes=_as_changes(wanted),
                details={"count": page.count, "capped": page.capped},
            )
    return page


def view(*, actor: Actor, pk: UUID) -> Event:
    """One event in full."""
    policy.require(actor, Act.AUDIT_VIEW, pk)
    event = policy.get_for(actor, Act.AUDIT_VIEW, Event.objects.select_related("personal"), pk)
    with transaction.atomic():
        log.record(actor, Act.AUDIT_VIEW, Obj("event", str(pk), event.act))
    return event


def export(
    *, actor: Actor, wanted: Filter, format: str, details: dict[str, str] | None = None
) -> Export:
    """The events of a filter as a file. Its own event is durable before the first byte."""
    policy.require(actor, Act.AUDIT_EXPORT)
    if format not in exporting.FORMATS:
        raise Invalid(_("Choose CSV or JSON Lines."), field="format")
    rows = searching.events(wanted)
    newest = rows.values_list("id", flat=True).first()
    count = rows.filter(id__lte=newest).count() if newest else 0
    with transaction.atomic():
        log.record(
            actor,
            Act.AUDIT_EXPORT,
            Obj("export", str(newest or ""), format),
            changes=_as_changes(wanted),
            details={"format": format, "count": count, **(details or {})},
        )
    pieces = exporting.chunks(wanted, format, newest)
    return Export(format, exporting.FORMATS[format], count, pieces)


def _as_changes(wanted: Filter) -> list[Change]:
    """The filter as it is recorded: whom it looked for is a personal value."""
    return [
        Change(name, None, value, private=name in searching.PERSONAL)
        for name, value in wanted.active().items()
    ]


def _mark(actor: Actor, wanted: Filter) -> str:
    """The same filter in the same session: a mark that tells nothing about what was looked for."""
    text = repr((actor.origin.session, sorted(wanted.active().items())))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
