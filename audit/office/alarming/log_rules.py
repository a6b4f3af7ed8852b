"""Rules that look at the log. Each looks at a short span by an index, however large the log is.

A span overlaps with the one before it, because an event may be committed a little later than its
time says; an event that was counted is not counted again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from access.models import User
from access.roles import ADMINISTRATORS
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event
from audit.office.alarming.standing import Finding, last_closed, values_of
from audit.office.models import AlarmSighting, SeenAddress
from audit.office.search import first_id

OVERLAP = timedelta(minutes=2)
# A rule that did not look for longer than this (the house was off) begins there.
FARTHEST = timedelta(hours=24)
# Read at most so many events in one look; a span that has more is a flood, its newest tell enough.
MOST = 20_000
MOST_NEW = 1_000
MOST_KEPT = 5_000
REFUSED = (
    Q(act=Act.AUTHZ_DENIED),
    Q(act=Act.INFERENCE_REFUSED, outcome="denied"),
    Q(act=Act.AUTH_LOGIN, outcome="failure"),
)
LOCKED = (Q(act=Act.AUTH_LOCKOUT),)
# What an administrator does that changes nothing, or is nobody's business at night.
READING = (Act.AUDIT_SEARCH, Act.AUDIT_VIEW, Act.AUTH_LOGIN, Act.AUTH_LOGOUT, Act.AUTHZ_DENIED)


def denials(_since: datetime | None) -> list[Finding]:
    found = values_of("denials")
    return list(_bursts("denials", REFUSED, found["count"], found["minutes"]))


def lockouts(_since: datetime | None) -> list[Finding]:
    found = values_of("lockouts")
    return list(_bursts("lockouts", LOCKED, found["count"], found["minutes"]))


def _bursts(rule: str, acts: Iterable[Q], least: int, minutes: int) -> Iterator[Finding]:
    """Who was refused often within the last minutes; what was judged before does not count."""
    start = timezone.now() - timedelta(minutes=minutes)
    for subject, events in _grouped(acts, start).items():
        judged = last_closed(rule, subject) if len(events) >= least else None
        after = first_id(judged) if judged else None
        fresh = [event for event in events if after is None or event > after]
        if len(fresh) >= least:
            yield Finding(
                subject,
                events=fresh[:MOST_KEPT],
                query=_query(subject),
            )


def _grouped(acts: Iterable[Q], start: datetime) -> dict[Obj, list[UUID]]:
    """Events of these acts since then, newest first, by who was refused or from where."""
    groups: dict[Obj, list[UUID]] = {}
    for act in acts:
        rows = Event.objects.filter(act, id__gte=first_id(start)).order_by("-id")
        for pk, kind, actor, ip in rows.values_list("id", "actor_kind", "actor_id", "personal__ip")[
            :MOST
        ]:
            subject = _who(kind, actor, ip or "")
            groups.setdefault(subject, []).append(pk)
    for events in groups.values():
        events.sort(reverse=True)
    return groups


def _who(kind: str, actor: str, ip: str) -> Obj:
    if actor:
        return Obj("service_account" if kind == "service" else "user", actor, personal=True)
    return Obj("address", ip or "unknown", personal=True)


def _query(subject: Obj) -> dict[str, str]:
    """How the search of the log finds it."""
    if subject.type == "address":
        return {"address": subject.id} if subject.id != "unknown" else {}
    return {"person": subject.id}


def off_hours(since: datetime | None) -> list[Finding]:
    """What administrators changed outside working hours since the last look."""
    hours = values_of("off_hours")
    found = []
    for person in _administrators():
        rows = _new("off_hours", since, Q(actor_id=person)).exclude(act__in=READING)
        late = [pk for pk, at in rows.values_list("id", "at")[:MOST_NEW] if is_outside(at, hours)]
        if late:
            found.append(
                Finding(Obj("user", person, personal=True), events=late, query={"person": person})
            )
    return found


def is_outside(moment: datetime, hours: dict[str, int]) -> bool:
    """By the house's own clock."""
    local = timezone.localtime(moment)
    if local.weekday() >= 5 and not hours["weekend"]:
        return True
    return not hours["begin"] <= local.hour < hours["end"]


def new_address(since: datetime | None) -> list[Finding]:
    """Sign-ins of administrators from where they never signed in; the address is then known."""
    people = _administrators()
    rows = _new("new_address", since, Q(act=Act.AUTH_LOGIN, outcome="success"))
    found: dict[str, list[UUID]] = {}
    for pk, person, at, ip in rows.values_list("id", "actor_id", "at", "personal__ip")[:MOST_NEW]:
        if person in people and (network := network_of(ip or "")) and _is_new(person, network, at):
            found.setdefault(person, []).append(pk)
    return [
        Finding(Obj("user", person, personal=True), events=events, query={"person": person})
        for person, events in found.items()
    ]


def network_of(ip: str) -> str:
    """The address, or of IPv6 its network: the rest changes by itself, for privacy."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ""
    return str(ip_network(f"{address}/64", strict=False)) if address.version == 6 else str(address)


def _is_new(person: str, network: str, at: datetime) -> bool:
    """Remember it; whether it is new for somebody who has signed in from elsewhere before."""
    known = SeenAddress.objects.filter(person_id=person)
    row, made = SeenAddress.objects.get_or_create(
        person_id=person, network=network, defaults={"last_at": at}
    )
    if not made and row.last_at < at:
        SeenAddress.objects.filter(pk=row.pk).update(last_at=at)
    return made and known.exclude(pk=row.pk).exists()


def _administrators() -> set[str]:
    rows = User.objects.people().filter(role__in=ADMINISTRATORS)
    return {str(pk) for pk in rows.values_list("pk", flat=True)}


def _new(rule: str, since: datetime | None, wanted: Q) -> QuerySet[Event, Any]:
    """Events since the last look, oldest first, that the rule has not counted."""
    now = timezone.now()
    start = max((since or now) - OVERLAP, now - FARTHEST)
    counted = AlarmSighting.objects.filter(rule=rule).values("event_id")
    rows = Event.objects.filter(wanted, id__gte=first_id(start))
    return rows.exclude(pk__in=counted).order_by("id")
