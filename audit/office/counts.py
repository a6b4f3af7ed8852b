"""How many events match a filter, over time: for the chart above the list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

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
    """Of the filter's own span of time, or of the last 30 days that have events."""
    end = min(wanted.end or timezone.now(), timezone.now())
    start = wanted.start or _first(end)
    width = next((unit for span, unit in UNITS if end - start <= span), LONGEST)
    first = _round(start, width)
    starts = [first + width * n for n in range(MOST) if first + width * n <= end]
    found = search.counts_between(wanted, [*starts, starts[-1] + width])
    counts = [min(count, search.COUNT_LIMIT) for count in found]
    return Counts(width, starts, counts, any(c > search.COUNT_LIMIT for c in found))


def _first(end: datetime) -> datetime:
    oldest = Event.objects.order_by("id").values_list("at", flat=True).first()
    return max(oldest or end - SHOWN, end - SHOWN)


def _round(moment: datetime, width: timedelta) -> datetime:
    """The beginning of the house's own hour or day."""
    local = timezone.localtime(moment)
    if width == HOUR:
        return local.replace(minute=0, second=0, microsecond=0)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)
