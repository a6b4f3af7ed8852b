"""What a check found: a verdict, the setting in force, and the proof, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.ledger.acts import Act
from audit.ledger.models import Event
from audit.office import search

OK, ATTENTION, RED, NO_CLAIM = "ok", "attention", "red", "no_claim"
# The worst first.
ORDER = (RED, ATTENTION, OK, NO_CLAIM)
VERDICT_NAMES: dict[str, str | Promise] = {
    OK: _("in order"),
    ATTENTION: _("to be looked at"),
    RED: _("off"),
    NO_CLAIM: _("nothing claimed"),
}
PERIOD = timedelta(days=30)
MOST = 10_000


@dataclass(frozen=True)
class Said:
    """A sentence with values, made when it is read: in whatever language that is."""

    text: str | Promise
    values: dict[str, Any]

    def __str__(self) -> str:
        return str(self.text) % self.values


def say(text: str | Promise, **values: Any) -> Said:
    return Said(text, values)


@dataclass(frozen=True)
class Finding:
    verdict: str
    setting: Said
    proof: Said

    @property
    def verdict_name(self) -> str:
        return str(VERDICT_NAMES[self.verdict])


Check = Callable[[], Finding]


def events(*acts: Act, days: timedelta | None = PERIOD) -> QuerySet[Event]:
    """Events of these acts, of the last thirty days or of all time."""
    found = Event.objects.filter(act__in=[act.value for act in acts]).order_by()
    return found.filter(id__gte=search.first_id(timezone.now() - days)) if days else found


def count(rows: QuerySet[Event]) -> str:
    """Up to MOST: beyond, nobody counts."""
    found = rows[: MOST + 1].count()
    return str(found) if found <= MOST else f"> {MOST}"


def newest(rows: QuerySet[Event]) -> Event | None:
    return rows.order_by("-id").first()


def told(event: Event | None) -> str:
    """An event by its id and its time; a dash for none."""
    return f"{event.pk} ({event.at:%Y-%m-%d %H:%M:%S} UTC)" if event else "–"


def id_and_time(pk: UUID | None) -> str:
    return told(Event.objects.filter(pk=pk).first()) if pk else "–"


def of_acts(text: str | Promise, *acts: Act, days: timedelta | None = PERIOD, **more: Any) -> Said:
    """A proof that counts events and names the last: %(count)s, %(last)s."""
    return say(
        text,
        count=count(events(*acts, days=days)),
        last=told(newest(events(*acts, days=None))),
        **more,
    )
