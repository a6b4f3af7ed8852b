"""Finding events: each filter goes through an index of its own, each page is a key away.

What may have several values (three people of a name, the acts of a category) is asked one value at
a time and merged: every part then reads its index in order and stops after a page, where `IN` and
`OR` would read and sort everything that matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, reduce
from itertools import pairwise
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from access.models import User
from audit.ledger.acts import Act
from audit.ledger.canonical import read
from audit.ledger.models import Event, Mention, Personal
from audit.office.content import restricted
from audit.office.filters import Filter
from audit.office.models import CaseEvent

PAGE = 50
COUNT_LIMIT = 10_000
# Of those that only lead to events, each of which has to be looked up.
LOOKED_UP = 4_000
MAX_PEOPLE = 50
MAX_SIBLINGS = 100
LINK = "event__"
EPOCH = datetime.fromtimestamp(0, tz=UTC)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of events; `older` and `newer` are the keys to go on from, empty at the ends.

    count: how many match; `capped` when it is at least so many, and who would know must read on.
    """

    events: list[Event]
    count: int
    capped: bool
    older: str
    newer: str


def events(wanted: Filter) -> QuerySet[Event]:
    """All events that match, newest first. Raises Invalid when too many people are meant."""
    rows = Event.objects.filter(_conditions(wanted))
    return rows.select_related("personal").order_by("-id")


def page(wanted: Filter, *, before: str = "", after: str = "") -> Page:
    """The page before (older than) or after (newer than) an event's id, or the newest one."""
    ways = _ways(wanted)
    back = _uuid(after) is not None
    cursor = _uuid(after) or _uuid(before)
    bound = {"id__gt" if back else "id__lt": cursor} if cursor else {}
    ids = _ids(ways, bound, "" if back else "-")
    if cursor and not ids:
        return page(wanted)
    more, ids = len(ids) > PAGE, sorted(ids[:PAGE], reverse=True)
    older, newer = (True, more) if back else (more, cursor is not None)
    # A first page that is not full is all there is.
    count, capped = _count(ways) if cursor or more else (len(ids), False)
    return Page(
        list(Event.objects.filter(id__in=ids).select_related("personal").order_by("-id")),
        max(count, len(ids)),
        capped,
        str(ids[-1]) if ids and older else "",
        str(ids[0]) if ids and newer else "",
    )


def is_more_than(wanted: Filter, most: int) -> bool:
    """Whether a filter finds more than `most` events, without counting all of them."""
    return events(wanted).order_by()[most : most + 1].exists()


def same_request(event: Event) -> list[Event]:
    """What else the same request did, in order; the event itself is among them."""
    if not event.request_id:
        return []
    rows = Event.objects.filter(request_id=event.request_id).select_related("personal")
    return list(rows.order_by("id")[:MAX_SIBLINGS])


def last_verified() -> tuple[str, int]:
    """The newest tree as the last verification of the log has seen it that found nothing wrong: its
    origin and how many leaves it had. One that does not say which tree it was counts for nothing.
    """
    found = Event.objects.filter(act=Act.AUDIT_VERIFY, outcome="success", object_type="log")
    for leaf in found.order_by("-id").values_list("leaf", flat=True)[:MAX_SIBLINGS]:
        details = read(bytes(leaf)).get("details", {})
        if not details.get("bytes_only"):
            origin, size = details.get("origin"), details.get("newest")
            known = isinstance(origin, str) and isinstance(size, int)
            return (origin, size) if known else ("", 0)
    return "", 0


def first_id(moment: datetime) -> UUID:
    """The least UUIDv7 of a moment: ids sort by time, so the key's own index finds a time."""
    return UUID(int=_milliseconds(moment) << 80)


def last_id(moment: datetime) -> UUID:
    return UUID(int=((_milliseconds(moment) + 1) << 80) - 1)


def _milliseconds(moment: datetime) -> int:
    """Since 1970, exactly; what does not fit a UUIDv7 is moved to its first or last moment."""
    since = moment.astimezone(UTC) - EPOCH
    return min(max(since // timedelta(milliseconds=1), 0), (1 << 48) - 1)


@dataclass(frozen=True)
class _Way:
    """Rows of one index, read in order: of events, or of a table whose rows lead to events.

    rows: those of the whole filter. whole: all that the index has for what it was chosen by.
    sifted: whether what its rows lead to has to be looked up.
    """

    rows: QuerySet[Any]
    whole: QuerySet[Any]
    prefix: str = ""
    sifted: bool = False

    def ids(self, bound: Mapping[str, object], order: str) -> QuerySet[Any, UUID]:
        rows = self.rows.filter(**{f"{self.prefix}{name}": v for name, v in bound.items()})
        return rows.order_by(f"{order}{self.prefix}id").values_list(f"{self.prefix}id", flat=True)

    @cached_property
    def beyond(self) -> UUID | None:
        """The newest id that is not looked at when events are counted; None when all are."""
        ids = self.whole.order_by(f"-{self.prefix}id").values_list(f"{self.prefix}id", flat=True)
        most = min(LOOKED_UP, COUNT_LIMIT) if self.sifted else COUNT_LIMIT
        found: UUID | None = ids[most : most + 1].first()
        return found


PRIMARY = ("case", "person", "object", "address", "act", "deployment", "outcome", "request")


def _ways(wanted: Filter) -> list[_Way]:
    """The filter that has an index of its own decides where to look; the others only sift. Of
    several, the first that finds few."""
    first, *others = [name for name in PRIMARY if getattr(wanted, name)] or [""]
    found = _ways_by(first, wanted)
    if others and not _are_few(found):
        return next(filter(_are_few, (_ways_by(name, wanted) for name in others)), found)
    return found


def _are_few(ways: list[_Way]) -> bool:
    return all(way.beyond is None for way in ways)


def _ways_by(primary: str, wanted: Filter) -> list[_Way]:
    without: dict[str, Any] = {primary: ""} if primary else {}
    rest = replace(wanted, **without)
    within = Filter(start=wanted.start, end=wanted.end)
    found, every = (Event.objects.filter(_conditions(each)) for each in (rest, within))
    linked, all_linked = _conditions(rest, LINK), _conditions(within, LINK)

    def events_with(**named: str) -> _Way:
        return _Way(found.filter(**named), every.filter(**named))

    def leading(model: type[Model], **named: str) -> _Way:
        rows = model._default_manager
        return _Way(
            rows.filter(linked, **named), rows.filter(all_linked, **named), LINK, bool(linked)
        )

    match primary:
        case "case":
            ways = [leading(CaseEvent, case_id=wanted.case)]
        case "person":
            ways = [
                _Way(found.filter(**way), every.filter(actor_id=way["actor_id"]))
                for way in _people(wanted.person)
            ]
        case "object":
            ids = _object_ids(wanted.object)
            ways = [events_with(object_label=wanted.object)]
            ways += [events_with(object_id=i) for i in ids]
            ways += [leading(Mention, object_id=i) for i in ids]
        case "address":
            ways = [leading(Personal, ip=wanted.address)]
            if hidden := list(restricted.people()):
                # Only then: it costs a join.
                rows = ways[0].rows.exclude(event__actor_id__in=hidden)
                ways = [replace(ways[0], rows=rows)]
        case "act":
            ways = [events_with(act=act) for act in _acts(wanted.act)]
        case _:
            column = "request_id" if primary == "request" else primary
            ways = [events_with(**({column: getattr(wanted, primary)} if primary else {}))]
    return ways


def _conditions(wanted: Filter, prefix: str = "") -> Q:
    """The whole filter, as asked of events or (by prefix) of what leads to them."""
    exact: dict[str, object] = {
        "deployment": wanted.deployment,
        "outcome": wanted.outcome,
        "request_id": wanted.request,
        "personal__ip": wanted.address,
        "act__in": _acts(wanted.act),
        "id__gte": first_id(wanted.start) if wanted.start else None,
        "id__lte": last_id(wanted.end) if wanted.end else None,
    }
    found = Q(**{f"{prefix}{name}": value for name, value in exact.items() if value})
    if wanted.address:
        found &= ~Q(**{f"{prefix}actor_id__in": list(restricted.people())})
    if wanted.case:
        collected = CaseEvent.objects.filter(case_id=wanted.case).values("event_id")
        found &= Q(**{f"{prefix}id__in": collected})
    if wanted.person:
        ways = _people(wanted.person)
        found &= _any(Q(**{f"{prefix}{n}": v for n, v in way.items()}) for way in ways)
    if wanted.object:
        ids = _object_ids(wanted.object)
        mentioned = Mention.objects.filter(object_id__in=ids).values("event_id")
        found &= _any(
            Q(**{f"{prefix}{name}": value})
            for name, value in (
                ("object_label", wanted.object), ("object_id__in", ids), ("id__in", mentioned)
            )
        )  # fmt: skip
    return found


def _ids(ways: list[_Way], bound: Mapping[str, object], order: str) -> list[UUID]:
    """The first PAGE + 1 ids, merged from the first of each way."""
    first, *others = [way.ids(bound, order)[: PAGE + 1] for way in ways]
    return list(first.union(*others).order_by(f"{order}id")[: PAGE + 1] if others else first)


def _count(ways: list[_Way]) -> tuple[int, bool]:
    """How many match, and whether there may be more: only the newest rows of each index are
    looked at."""
    beyond = max((b for way in ways if (b := way.beyond)), default=None)
    bound = {"id__gt": beyond} if beyond else {}
    return _together([way.ids(bound, "").order_by() for way in ways]), beyond is not None


def _together(parts: Sequence[QuerySet[Any, UUID]]) -> int:
    """How many ids there are, each counted once."""
    first, *others = parts
    return first.union(*others).count() if others else first.count()


def counts_between(wanted: Filter, moments: Sequence[datetime]) -> list[int]:
    """How many match between each moment and the next, or a little more than COUNT_LIMIT."""
    ways = _ways(wanted)
    found = []
    for begin, end in pairwise(moments):
        bound = {"id__gte": first_id(begin), "id__lt": first_id(end)}
        parts = [way.ids(bound, "").order_by()[: COUNT_LIMIT + 1] for way in ways]
        found.append(_together(parts))
    return found


def _any(ways: Iterable[Q]) -> Q:
    return reduce(or_, ways)


def _people(text: str) -> list[dict[str, str]]:
    """By an account's id, or by a part of its names; or by the name that was typed at a sign-in
    that failed, when nobody was signed in yet."""
    if pk := _uuid(text):
        return [{"actor_id": str(pk)}]
    if text.startswith("system:"):
        return [{"actor_id": text}]
    known = User.objects.filter(Q(username__icontains=text) | Q(display_name__icontains=text))
    ids = list(known.values_list("pk", flat=True)[: MAX_PEOPLE + 1])
    if len(ids) > MAX_PEOPLE:
        raise Invalid(
            _("More than %(most)d people match. Write more of the name.") % {"most": MAX_PEOPLE},
            field="person",
        )
    typed = {"actor_id": "", "personal__values__actor.name__icontains": text}
    return [typed, *({"actor_id": str(pk)} for pk in ids)]


def _object_ids(text: str) -> list[str]:
    """The id itself; or of people, whose names are not in the log, those of that name."""
    named = User.objects.filter(username__iexact=text).values_list("pk", flat=True)
    return [text, *(str(pk) for pk in named)]


def _acts(text: str) -> list[str]:
    if not text or text in set(Act):
        return [text] if text else []
    return [act.value for act in Act if act.category == text and act.recorded]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
