"""What an auditor looks for, and finding it: a filter has its index, a page is a key away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, time
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from access.models import User
from audit.ledger.acts import Act
from audit.ledger.event import OUTCOMES
from audit.ledger.models import Event

PAGE = 50
MAX_TEXT = 200
COUNT_LIMIT = 10_000
# Who was looked for is about a person: in the search's own event it is committed to only.
PERSONAL = ("person", "address")


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; empty means anything. `act` may be a whole category such as `key`.

    start and end are ISO dates or times in the house's time zone; a date as end means all that day.
    """

    person: str = ""
    act: str = ""
    object: str = ""
    deployment: str = ""
    outcome: str = ""
    request: str = ""
    address: str = ""
    start: str = ""
    end: str = ""

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Filter:
        """From a form's fields. Raises access.errors.Invalid that names the field."""
        given = {f.name: str(values.get(f.name, "")).strip()[:MAX_TEXT] for f in fields(cls)}
        found = cls(**given)
        categories = {a.category for a in Act}
        if found.act and found.act not in {a.value for a in Act} | categories:
            raise Invalid(_("There is no such action."), field="act")
        if found.outcome and found.outcome not in OUTCOMES:
            raise Invalid(_("There is no such outcome."), field="outcome")
        for name in ("start", "end"):
            if given[name] and _moment(given[name], end=name == "end") is None:
                raise Invalid(_("Write a date such as 2026-11-23."), field=name)
        return found

    def active(self) -> dict[str, str]:
        """The fields that are set."""
        return {name: value for name, value in asdict(self).items() if value}


def events(wanted: Filter) -> QuerySet[Event]:
    """The events that match, newest first."""
    rows = Event.objects.select_related("personal").order_by("-id")
    if wanted.person:
        rows = rows.filter(actor_id__in=_people(wanted.person))
    if wanted.act:
        exact = wanted.act in {a.value for a in Act}
        acts = [wanted.act] if exact else [a.value for a in Act if a.category == wanted.act]
        rows = rows.filter(act__in=acts)
    if wanted.object:
        rows = rows.filter(Q(object_id=wanted.object) | Q(object_label=wanted.object))
    if wanted.address:
        rows = rows.filter(personal__ip=wanted.address)
    for field, value in (
        ("deployment", wanted.deployment),
        ("outcome", wanted.outcome),
        ("request_id", wanted.request),
    ):
        if value:
            rows = rows.filter(**{field: value})
    if start := _moment(wanted.start, end=False):
        rows = rows.filter(id__gte=_first_id(start))
    if end := _moment(wanted.end, end=True):
        rows = rows.filter(id__lte=_last_id(end))
    return rows


@dataclass(frozen=True, slots=True)
class Page:
    """One page of events; `older` and `newer` are the keys to go on from, empty at the ends."""

    events: list[Event]
    count: int
    capped: bool
    older: str
    newer: str


def page(wanted: Filter, *, before: str = "", after: str = "") -> Page:
    """The page before (older than) or after (newer than) an event's id, or the newest."""
    rows = events(wanted)
    if key := _uuid(after):
        found = list(rows.filter(id__gt=key).order_by("id")[: PAGE + 1])
        more_newer, more_older = len(found) > PAGE, True
        found = list(reversed(found[:PAGE]))
    else:
        key = _uuid(before)
        found = list((rows.filter(id__lt=key) if key else rows)[: PAGE + 1])
        more_older, more_newer = len(found) > PAGE, bool(key)
        found = found[:PAGE]
    count = events(wanted).order_by()[: COUNT_LIMIT + 1].count()
    return Page(
        found,
        min(count, COUNT_LIMIT),
        count > COUNT_LIMIT,
        str(found[-1].pk) if found and more_older else "",
        str(found[0].pk) if found and more_newer else "",
    )


def _people(text: str) -> list[str]:
    """Ids of those meant by an id or a part of a name."""
    if _uuid(text) or text.startswith("system:"):
        return [text]
    people = User.objects.filter(Q(username__icontains=text) | Q(display_name__icontains=text))
    return [str(pk) for pk in people.values_list("pk", flat=True)[:200]]


def _moment(text: str, *, end: bool) -> datetime | None:
    try:
        if day := parse_date(text):
            return timezone.make_aware(datetime.combine(day, time.max if end else time.min))
        moment = parse_datetime(text)
    except ValueError:
        return None
    return timezone.make_aware(moment) if moment and timezone.is_naive(moment) else moment


def _first_id(moment: datetime) -> UUID:
    """The least UUIDv7 of a moment: ids sort by time, so the key's own index finds it."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80))


def _last_id(moment: datetime) -> UUID:
    return UUID(int=((int(moment.timestamp() * 1000) + 1) << 80) - 1)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
