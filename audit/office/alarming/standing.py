"""What rules find becomes alarms: opened once, seen again, closed when it has ended.

Everything here is called inside a transaction and is safe to do twice: what a rule finds is merged
with what is open, and a flood of subjects is folded into one alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.canonical import clean_text
from audit.ledger.log import Obj
from audit.office.alarming import notices
from audit.office.alarming.rules import RULES, Rule
from audit.office.models import Alarm, AlarmRule, AlarmSighting

ACTOR = Actor.system("alarms")
# More subjects than these at once are one thing: somebody floods us.
MOST_OPEN = 40
MANY = Obj("many", "", "")
MOST_SIGHTINGS = 5000
# A state that comes back so soon is the same alarm, not another one; a state that just lasts is
# written down so often.
FLAPPING = timedelta(minutes=30)
STILL = timedelta(seconds=60)
PEOPLE = ("user", "service_account", "account", "address")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found about one subject now.

    events: ids of events behind it, the newest of them when there are very many; those that had
    not been seen before are counted.
    """

    subject: Obj
    part: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    events: Sequence[UUID] = ()
    query: dict[str, str] = field(default_factory=dict)


def values_of(key: str) -> dict[str, int]:
    """The thresholds in force of a rule."""
    row = AlarmRule.objects.filter(key=key).first()
    return RULES[key].values(row.values if row else {})


def is_resting(key: str) -> bool:
    return RULES[key].may_rest and AlarmRule.objects.filter(key=key, resting=True).exists()


def apply(key: str, findings: Sequence[Finding], *, about: Obj | None = None) -> None:
    """Bring the alarms of a rule in step with what it finds now.

    about: the rule was asked about this subject only; alarms about others stay as they are.
    """
    rule = RULES[key]
    rows = Alarm.objects.open().filter(rule=key)
    if about is not None:
        rows = rows.filter(subject_type=about.type, subject_id=about.id)
    known = {_place(row): row for row in rows.select_for_update()}
    found = {_named(finding): finding for finding in _folded(known, findings)}
    for place, finding in found.items():
        if place in known:
            _seen_again(known[place], finding)
        else:
            _open(rule, place, finding)
    if rule.lasts:
        for place, row in known.items():
            if place not in found:
                close(row)


def gone(subject: Obj) -> None:
    """The subject itself is no more: what stood about it has ended."""
    rows = Alarm.objects.open().filter(subject_type=subject.type, subject_id=subject.id)
    for row in rows.select_for_update():
        if RULES[row.rule].lasts:
            close(row)


def close(alarm: Alarm) -> None:
    alarm.closed_at = timezone.now()
    alarm.save(update_fields=["closed_at"])
    log.record(
        ACTOR, Act.ALARM_CLOSE, alarm.as_obj(), subject_of(alarm), details={"count": alarm.count}
    )


def subject_of(alarm: Alarm) -> Obj:
    """The subject as an event may name it: nothing that is a personal value."""
    if alarm.subject_type == "address":
        return Obj("address", "", alarm.subject_id, personal=True)
    personal = alarm.subject_type in PEOPLE
    return Obj(alarm.subject_type, alarm.subject_id, "" if personal else alarm.subject_label)


Place = tuple[str, str, str]


def _place(row: Alarm) -> Place:
    return row.subject_type, row.subject_id, row.part


def _named(finding: Finding) -> Place:
    subject = finding.subject
    return subject.type[:40], clean_text(subject.id, 200), clean_text(finding.part, 255)


def _folded(known: dict[Place, Alarm], findings: Sequence[Finding]) -> list[Finding]:
    """The findings; of too many new ones the rest as one about "many"."""
    old = [finding for finding in findings if _named(finding) in known]
    new = [finding for finding in findings if _named(finding) not in known]
    room = max(0, MOST_OPEN - len(known))
    if len(new) <= room:
        return list(findings)
    kept, rest = [*old, *new[:room]], new[room:]
    events = [event for finding in rest for event in finding.events][:MOST_SIGHTINGS]
    return [*kept, Finding(MANY, facts={**rest[0].facts, "subjects": len(rest)}, events=events)]


def _open(rule: Rule, place: Place, finding: Finding) -> None:
    if rule.lasts and _back_again(rule, place, finding):
        return
    label = "" if finding.subject.personal else clean_text(finding.subject.label, 200)
    alarm = Alarm(
        rule=rule.key, subject_type=place[0], subject_id=place[1], part=place[2],
        subject_label=label, facts=finding.facts, query=finding.query, opened_at=timezone.now(),
        seen_at=timezone.now(), count=max(1, len(finding.events)),
    )  # fmt: skip
    try:
        with transaction.atomic():
            alarm.save(force_insert=True)
    except IntegrityError:
        return  # somebody else has just opened it
    _sight(alarm, finding)
    _record(alarm, rule)
    notices.tell(alarm, rule)


def _back_again(rule: Rule, place: Place, finding: Finding) -> bool:
    """Whether it was closed a moment ago: then it is the same one, open again."""
    kind, subject, part = place
    alarm = Alarm.objects.filter(
        rule=rule.key, subject_type=kind, subject_id=subject, part=part,
        closed_at__gt=timezone.now() - FLAPPING,
    ).order_by("-closed_at").first()  # fmt: skip
    if alarm is None:
        return False
    alarm.closed_at, alarm.seen_at, alarm.count = None, timezone.now(), alarm.count + 1
    alarm.facts = {**alarm.facts, **finding.facts}
    alarm.save(update_fields=["closed_at", "seen_at", "count", "facts"])
    _record(alarm, rule)
    return True


def _record(alarm: Alarm, rule: Rule) -> None:
    log.record(
        ACTOR,
        Act.ALARM_RAISE,
        alarm.as_obj(),
        subject_of(alarm),
        outcome="failure",
        reason=rule.key,
        details={"part": alarm.part, "severity": rule.severity, "count": alarm.count},
    )


def _seen_again(alarm: Alarm, finding: Finding) -> None:
    new = _sight(alarm, finding)
    if not new and (finding.events or alarm.seen_at > timezone.now() - STILL):
        return
    alarm.count += new
    alarm.seen_at = timezone.now()
    alarm.facts = {**alarm.facts, **finding.facts}
    alarm.save(update_fields=["count", "seen_at", "facts"])
    notices.remind(alarm, RULES[alarm.rule])


def _sight(alarm: Alarm, finding: Finding) -> int:
    """Keep the events behind it; how many of them had not been counted before."""
    rows = AlarmSighting.objects.filter(rule=alarm.rule, event_id__in=list(finding.events))
    known = set(rows.values_list("event_id", flat=True))
    new = [event for event in finding.events if event not in known]
    room = max(0, MOST_SIGHTINGS - alarm.sightings.count()) if new else 0
    newest = alarm.facts.get("newest", "")
    if newest:
        # So many that not all are kept: those that are newer than the last one counted are new.
        new = [event for event in new if event > UUID(newest)]
    if newest or len(new) > room:
        last = str(max(new)) if new else newest
        alarm.facts = {**alarm.facts, "newest": last}
        Alarm.objects.filter(pk=alarm.pk).update(facts=alarm.facts)
    AlarmSighting.objects.bulk_create(
        [AlarmSighting(alarm=alarm, rule=alarm.rule, event_id=event) for event in new[:room]],
        ignore_conflicts=True,
    )
    return len(new)


def last_closed(key: str, subject: Obj) -> datetime | None:
    """When the last alarm of a rule about a subject was closed: what was before has been judged."""
    rows = Alarm.objects.filter(rule=key, subject_type=subject.type, subject_id=subject.id)
    newest = rows.exclude(closed_at=None).order_by("-closed_at").first()
    return newest.closed_at if newest else None
