"""What is unusual this week: counts of the last seven days against the four weeks before.

The statistic: more than twice the median of the four weeks and at least ten more; or nothing, where
the median is at least ten. A log that is younger than that week has nothing usual. Counts stop at
search.COUNT_LIMIT.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.ledger.models import Event
from audit.office import search
from audit.office.filters import Filter

WEEK = timedelta(days=7)
BEFORE = 4
MORE = 10
MEASURES: tuple[tuple[str | Promise, Filter], ...] = (
    (_("Refusals"), Filter(outcome="denied")),
    (_("Sign-ins that failed"), Filter(act="auth.login", outcome="failure")),
    (_("Sign-ins"), Filter(act="auth.login", outcome="success")),
    (_("Roles changed"), Filter(act="user.set_role")),
    (_("Keys issued"), Filter(act="key.issue")),
    (_("Deployments granted"), Filter(act="grant.create")),
    (_("New revisions"), Filter(act="deployment.change")),
    (_("Requests answered"), Filter(act="inference.completed")),
    (_("Exports of the log"), Filter(act="audit.export")),
)


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is counted. `usual` is the median of the weeks before, None in the log's first
    week; `query` finds it."""

    title: str | Promise
    count: int
    usual: int | None
    query: dict[str, str]

    @property
    def is_unusual(self) -> bool:
        if self.usual is None:
            return False
        if self.usual >= MORE and not self.count:
            return True
        return self.count > 2 * self.usual and self.count >= self.usual + MORE

    @property
    def is_capped(self) -> bool:
        return self.count >= search.COUNT_LIMIT


def now() -> list[Measure]:
    end = timezone.now()
    is_young = _is_young(end)
    moments = [end - WEEK * (BEFORE + 1 - n) for n in range(BEFORE + 2)]
    found = []
    for title, wanted in MEASURES:
        *before, count = search.counts_between(wanted, moments)
        query = {**wanted.active(), "start": (end - WEEK).isoformat(timespec="minutes")}
        usual = None if is_young else int(median(before))
        found.append(Measure(title, min(count, search.COUNT_LIMIT), usual, query))
    return found


def _is_young(end: datetime) -> bool:
    """Whether there was no log before this week."""
    first = Event.objects.order_by("id").values_list("at", flat=True).first()
    return first is None or first > end - WEEK
