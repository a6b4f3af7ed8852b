"""What must be kept although it would go: personal values of the log within their floor, and what
a legal hold covers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from audit.office.search import first_id

# CSL art. 23(3): network logs are kept for six months at least.
FLOOR = timedelta(days=183)


def border() -> UUID:
    """The id before which events are older than the floor."""
    return first_id(timezone.now() - FLOOR)


def floor_ends(newest: datetime) -> datetime:
    """When the last of a person's events has passed its floor."""
    return newest + FLOOR


def is_held(person: UUID) -> bool:
    """Whether a legal hold covers this person."""
    return False


def held_content(ids: Iterable[UUID]) -> set[UUID]:
    """Those of some content that a legal hold covers."""
    return set()


def held_events(ids: Iterable[UUID]) -> set[UUID]:
    """Those of some events that a legal hold covers."""
    return set()
