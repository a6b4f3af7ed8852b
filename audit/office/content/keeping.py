"""What must be kept although it would go: personal values of the log within their floor, and what
a legal hold covers. Ask for holds under `retention.lock()`: none is set meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from audit.office import retention
from audit.office.models import Content, Hold, HoldKind
from audit.office.search import first_id

# The database's own answer, which also refuses to delete what is held.
ON_HOLD = RawSQL("office_content_held(office_content)", (), output_field=BooleanField())
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


def held_content(rows: QuerySet[Content]) -> QuerySet[Content]:
    """Those of some content that a legal hold covers: its person, its deployment, its time or its
    event."""
    return rows.filter(ON_HOLD)


def free_content(rows: QuerySet[Content]) -> QuerySet[Content]:
    """Those of some content that no hold covers."""
    return rows.exclude(ON_HOLD)


def held_events(ids: Iterable[UUID]) -> set[UUID]:
    """Those of some events that a legal hold covers."""
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, [list(ids)])
        return {row[0] for row in cursor.fetchall()}
