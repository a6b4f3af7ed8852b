"""How long events are kept, what the next run would remove, and what holds keep it from.

The database decides: its view `office_prunable` has what may go now, and `office_prune` removes
nothing else. This reads the view and prepares what a run says of itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from audit.ledger.models import Event
from audit.ledger.removed import digest_of, runs
from audit.office.models import Hold, RetentionPolicy

# Days that the law asks for, by the profile of the house (docs/decisions/0018 names the clauses).
FLOORS = {"standard": 183, "cn": 183, "eu": 183}
OUTSIDE_FLOOR = 1096
MOST = 36_500
LOCK = 24226
BATCH = 5000
COUNTED = 100_000
PRUNABLE = (
    "SELECT tree, position, event_id, bytes, boot, wseq FROM office_prunable"
    " WHERE NOT held LIMIT %s"
)
COUNTS = (
    "SELECT count(*) FILTER (WHERE NOT held), count(*) FILTER (WHERE held),"
    " coalesce(sum(bytes) FILTER (WHERE NOT held), 0)"
    " FROM (SELECT held, bytes FROM office_prunable LIMIT %s) v"
)


@dataclass(frozen=True, slots=True)
class Boundary:
    """The newest signed head that is old enough: what is older may go."""

    tree: int
    size: int
    root: bytes
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction removes: positions of one tree, and numbers of processes, as spans."""

    tree: int
    spans: list[tuple[int, int]]
    numbers: list[tuple[UUID, int, int]]
    count: int
    bytes: int

    @property
    def digest(self) -> str:
        return digest_of(((self.tree, first, last) for first, last in self.spans), self.numbers)


@dataclass(frozen=True, slots=True)
class Preview:
    """What the next run would remove, and what it would leave because of a hold."""

    count: int
    held: int
    bytes: int
    capped: bool
    boundary: Boundary | None


def floor() -> int:
    """The least number of days here: the profile's, or more where the house says so.

    Raises ImproperlyConfigured for a setting below the profile's.
    """
    least = FLOORS.get(settings.RETENTION_PROFILE)
    if least is None:
        raise ImproperlyConfigured(f"FUSEBOX_RETENTION_PROFILE is one of {', '.join(FLOORS)}")
    own: int = settings.RETENTION_FLOOR_DAYS or least
    if not least <= own <= MOST:
        raise ImproperlyConfigured(
            f"FUSEBOX_RETENTION_FLOOR_DAYS may not be less than {least} ({own} is set)"
        )
    return own


def policy() -> RetentionPolicy:
    """The policy in force; before there is a row of it, the one it begins with."""
    first = RetentionPolicy(days=365, outside_days=OUTSIDE_FLOOR)
    return RetentionPolicy.objects.order_by("-pk").first() or first


def boundary(days: int) -> Boundary | None:
    """None while the log is younger than that, as far as it was seen."""
    found = _rows("SELECT tree, size, root, signed_at FROM office_boundary(%s)", [days])
    return Boundary(*found[0]) if found else None


def preview() -> Preview:
    """Counted up to a limit."""
    count, held, size = _rows(COUNTS, [COUNTED + 1])[0]
    most = count + held > COUNTED
    return Preview(min(count, COUNTED), held, int(size), most, boundary(policy().days))


def next_batch() -> Batch | None:
    """What goes next; None when nothing may. Inside the transaction that removes it."""
    rows = _rows(PRUNABLE, [BATCH])
    if not rows:
        return None
    tree = min(row[0] for row in rows)
    rows = [row for row in rows if row[0] == tree]
    numbers = defaultdict(list)
    for _tree, _position, _event, _bytes, boot, wseq in rows:
        if wseq is not None:
            numbers[boot].append(wseq)
    return Batch(
        tree,
        runs(sorted(row[1] for row in rows)),
        [(boot, *span) for boot in sorted(numbers) for span in runs(sorted(numbers[boot]))],
        len(rows),
        sum(row[3] for row in rows),
    )


def lock() -> None:
    """One at a time, and no hold is set meanwhile. Until the end of the transaction."""
    _rows("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def remove(event_id: UUID, batch: Batch) -> int:
    """Have the database remove what the event accounts for; it refuses anything else."""
    firsts, lasts = [f for f, _l in batch.spans], [last for _f, last in batch.spans]
    numbers = [list(column) for column in zip(*batch.numbers, strict=True)] or [[], [], []]
    found = _rows(
        "SELECT office_prune(%s, %s::smallint, %s::bigint[], %s::bigint[], %s::uuid[],"
        " %s::bigint[], %s::bigint[])",
        [event_id, batch.tree, firsts, lasts, *numbers],
    )
    return int(found[0][0])


def holds_on(event: Event) -> list[Hold]:
    """The holds in force that keep this event."""
    found = _rows(
        "SELECT h.id FROM ledger_event e CROSS JOIN LATERAL office_holds(e) h WHERE e.id = %s",
        [event.pk],
    )
    return list(Hold.objects.filter(pk__in=[row[0] for row in found]))


def _rows(query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
