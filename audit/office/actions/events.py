"""Searching, opening and exporting. What an auditor does is recorded like everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event
from audit.office import bundle as bundling
from audit.office import counts, formats, standing
from audit.office import export as exporting
from audit.office import search as searching
from audit.office.bundle import Bundle
from audit.office.counts import Counts
from audit.office.filters import Filter
from audit.office.recording import as_changes
from audit.office.search import Page

MERGE_S = 60


def search(*, actor: Actor, wanted: Filter, before: str = "", after: str = "") -> Page:
    """A page of events. One event a filter and session within a minute: paging is not repeated."""
    policy.require(actor, Act.AUDIT_SEARCH)
    page = searching.page(wanted, before=before, after=after)
    _searched(actor, wanted, page.count, page.capped)
    return page


def search_counts(*, actor: Actor, wanted: Filter) -> Counts:
    """How many events match, over time: a search like any other. The chart beside a page of events
    adds no event to that of the page."""
    policy.require(actor, Act.AUDIT_SEARCH)
    found = counts.over_time(wanted)
    _searched(actor, wanted, sum(found.counts), found.capped)
    return found


def _searched(actor: Actor, wanted: Filter, count: int, capped: bool) -> None:
    """Record a search, unless the same one was within a minute."""
    mark = _mark(actor, wanted)
    since = searching.first_id(timezone.now() - timedelta(seconds=MERGE_S))
    known = Event.objects.filter(
        act=Act.AUDIT_SEARCH, actor_id=actor.id, object_id=mark, id__gte=since
    )
    if known.exists():
        return
    with transaction.atomic():
        log.record(
            actor,
            Act.AUDIT_SEARCH,
            Obj("search", mark),
            changes=as_changes(wanted),
            details={"count": count, "capped": capped},
        )


def view(*, actor: Actor, pk: UUID) -> Event:
    """One event in full."""
    event = policy.get_for(actor, Act.AUDIT_VIEW, Event.objects.select_related("personal"), pk)
    with transaction.atomic():
        log.record(actor, Act.AUDIT_VIEW, Obj("event", str(pk), event.act))
    return event


def export(
    *,
    actor: Actor,
    wanted: Filter,
    format: str,
    details: Mapping[str, str] | None = None,
    folder: Path | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> exporting.Stream:
    """The events of a filter as a stream, to be closed by who takes it.

    Its own event is durable before the first byte, and no part of what it holds.
    """
    policy.require(actor, Act.AUDIT_EXPORT)
    chosen = formats.ALL.get(format)
    if chosen is None:
        raise Invalid(_("There is no such format."), field="format")
    extra = standing.lines() if format == "pdf" else None
    stream = exporting.Stream(wanted, format, extra=extra, folder=folder, progress=progress)
    try:
        with transaction.atomic():
            log.record(
                actor,
                Act.AUDIT_EXPORT,
                Obj("export", stream.newest, format),
                changes=as_changes(wanted),
                details={
                    "format": format,
                    "count": stream.count,
                    "newest": stream.newest,
                    **(details or {}),
                },
            )
    except BaseException:
        stream.close()
        raise
    return stream


def export_bundle(
    *,
    actor: Actor,
    wanted: Filter,
    target: IO[bytes],
    details: Mapping[str, str] | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> Bundle:
    """Write the evidence of a filter to a file. Its event has the hash of its manifest.

    Raises audit.ledger.proofs.NotSealed, and writes nothing usable, when the sealer is away.
    """
    policy.require(actor, Act.AUDIT_EXPORT)
    made = bundling.build(wanted, target, progress)
    with transaction.atomic():
        log.record(
            actor,
            Act.AUDIT_EXPORT,
            Obj("export", made.manifest_hash, "bundle"),
            changes=as_changes(wanted),
            details={"format": "bundle", **made.details, **(details or {})},
        )
    return made


def _mark(actor: Actor, wanted: Filter) -> str:
    """The same filter in the same session: a mark that cannot be guessed back into a name."""
    text = repr((actor.origin.session, sorted(wanted.active().items())))
    return salted_hmac("audit.search", text, algorithm="sha256").hexdigest()[:32]
