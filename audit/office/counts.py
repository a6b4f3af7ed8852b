"""How many events match a filter, over time: for the chart above the list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from audit.ledger.models import Event
from audit.office import search
from audit.office.filters import Filter

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
UNITS = ((timedelta(hours=48), HOUR), (timedelta(days=60), DAY), (timedelta(days=420), 7 * DAY))
LONGEST = 28 * DAY
MOST = 62
SHOWN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Counts:
    """Bars of equal width: the moment each begins, and how many events it has.

    A bar stops at search.COUNT_LIMIT; `capped` says that one did.
    """

    width: timedelta
    starts: list[datetime]
    counts: list[int]
    capped: bool


def over_time(wanted: Filter) -> Counts:
    """Of the filter's own span of time, or of the last 30 days that have events; no bars where
    there is no such time. It begins no earlier than the log does."""
    now = timezone.now()
    end = min(wanted.end or now, now)
    oldest = Event.objects.order_by("id").values_list("at", flat=True).first()
    if oldest is None or max(wanted.start or oldest, oldest) > end:
        return Counts(HOUR, [], [], False)
    start = max(wanted.start or end - SHOWN, oldest)
    width = _width(start, end)
    bounds = _bounds(_round(start, width), width, end)
    found = search.counts_between(wanted, bounds)
    counts = [min(count, search.COUNT_LIMIT) for count in found]
    return Counts(width, bounds[:-1], counts, any(c > search.COUNT_LIMIT for c in found))


def _width(start: datetime, end: datetime) -> timedelta:
    """Such that MOST bars reach from the one to the other, also when the first begins earlier."""
    span = end - start
    if unit := next((unit for most, unit in UNITS if span <= most), None):
        return unit
    return max(LONGEST, ((span + DAY) // (MOST * DAY) + 1) * DAY)


def _bounds(first: datetime, width: timedelta, end: datetime) -> list[datetime]:
    """The beginnings of the bars and the end of the last one. Hours go on when the clock is
    changed, days begin at the house's own midnight."""
    step = first.astimezone(UTC) if width == HOUR else first
    moments = [(step + width * n).astimezone(UTC) for n in range(MOST + 1)]
    count = sum(moment <= end for moment in moments[:MOST])
    return moments[: count + 1]


def _round(moment: datetime, width: timedelta) -> datetime:
    """The beginning of the house's own hour or day."""
    local = timezone.localtime(moment)
    if width == HOUR:
        return local.replace(minute=0, second=0, microsecond=0)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)
