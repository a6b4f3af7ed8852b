"""What must be kept although it would go: personal values of the log within their floor, and what
a legal hold covers. Ask for holds under `retention.lock()`: none is set meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone

from audit.office import retention
from audit.office.models import Hold, HoldKind
from audit.office.search import first_id

CONTENT = "SELECT c.id FROM office_content c WHERE c.id = ANY(%s) AND office_content_held(c)"
EVENTS = "SELECT e.id FROM ledger_event e WHERE e.id = ANY(%s) AND EXISTS (SELECT office_holds(e))"


def floor() -> timedelta:
    """How long personal values in the log are kept at least (CSL art. 23(3): six months)."""
    return timedelta(days=retention.floor())


def border() -> UUID:
    """The id before which events are older than the floor."""
    return first_id(timezone.now() - floor())


def floor_ends(newest: datetime) -> datetime:
    """When the last of a person's events has passed its floor."""
    return newest + floor()


def is_held(person: UUID) -> bool:
    """Whether a legal hold covers this person."""
    return Hold.objects.filter(kind=HoldKind.PERSON, value=str(person), released_at=None).exists()


def held_content(ids: Iterable[UUID]) -> set[UUID]:
    """Those of some content that a legal hold covers: its person, its deployment, its time or its
    event."""
    return _ids(CONTENT, ids)


def held_events(ids: Iterable[UUID]) -> set[UUID]:
    """Those of some events that a legal hold covers."""
    return _ids(EVENTS, ids)


def _ids(query: str, ids: Iterable[UUID]) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(query, [list(ids)])
        return {row[0] for row in cursor.fetchall()}
