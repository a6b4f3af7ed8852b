"""Verbs of alarms: say a word about one, set a rule, say where they are sent."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from audit.ledger.models import Event
from audit.office.alarming.rules import RULES, visible_to
from audit.office.alarming.standing import subject_of
from audit.office.models import Alarm, AlarmRule, AlarmWord, Verdict

MAX_WORDS = 1000
SHOWN = 50


def acknowledge_alarm(*, actor: Actor, alarm: Alarm, verdict: str, text: str) -> Alarm:
    """Say what one found. What happened is closed by it; a state goes on until it ends.

    Nobody judges an alarm about themselves. More may be said later, nothing is taken back.
    """
    policy.require(actor, Act.ALARM_ACKNOWLEDGE, alarm.pk)
    text = text.strip()
    if verdict not in Verdict.values:
        raise Invalid(_("Choose what it was."), field="verdict")
    if not text or len(text) > MAX_WORDS:
        raise Invalid(_("Say what you found, in up to 1000 characters."), field="text")
    if not actor.is_system and alarm.rule not in visible_to(actor.role):
        raise WrongState(_("This alarm is for others to look into."))
    if alarm.subject_type == "user" and alarm.subject_id == actor.id:
        raise WrongState(_("This alarm is about you: somebody else must look into it."))
    with transaction.atomic():
        locked = Alarm.objects.select_for_update().get(pk=alarm.pk)
        AlarmWord.objects.create(alarm=locked, person_id=actor.id, verdict=verdict, text=text)
        locked.acknowledged_at = locked.acknowledged_at or timezone.now()
        rule = RULES.get(locked.rule)
        if locked.is_open and not (rule and rule.lasts):
            locked.closed_at = timezone.now()
        locked.save(update_fields=["acknowledged_at", "closed_at"])
        log.record(
            actor,
            Act.ALARM_ACKNOWLEDGE,
            locked.as_obj(),
            subject_of(locked),
            reason=text[:500],
            details={"verdict": verdict, "count": locked.count},
        )
    return locked


def view_alarm_events(*, actor: Actor, alarm: Alarm) -> list[Event]:
    """The newest events behind an alarm. Reading them is an event, as opening one is."""
    policy.require(actor, Act.AUDIT_VIEW, alarm.pk)
    ids = alarm.sightings.order_by("-event_id").values_list("event_id", flat=True)[:SHOWN]
    rows = Event.objects.filter(pk__in=list(ids)).select_related("personal").order_by("-id")
    found = list(rows)
    if found:
        with transaction.atomic():
            log.record(actor, Act.AUDIT_VIEW, alarm.as_obj(), details={"count": len(found)})
    return found


def set_alarm_rule(
    *, actor: Actor, key: str, values: Mapping[str, int], resting: bool = False
) -> AlarmRule:
    """Set the thresholds of a rule within their bounds, or put it to rest where that is allowed.

    Those whom alarms are about do not set them: it is the audit administrator's act.
    """
    policy.require(actor, Act.ALARM_SET_RULE, key)
    rule = RULES.get(key)
    if rule is None:
        raise Invalid(_("There is no such rule."), field="key")
    if resting and not rule.may_rest:
        raise Invalid(_("This rule cannot be put to rest."), field="resting")
    for threshold in rule.thresholds:
        value = values.get(threshold.name, threshold.default)
        if not threshold.least <= value <= threshold.most:
            raise Invalid(
                _("Between %(least)d and %(most)d.")
                % {"least": threshold.least, "most": threshold.most},
                field=threshold.name,
            )
    known = {threshold.name for threshold in rule.thresholds}
    if unknown := sorted(set(values) - known):
        raise Invalid(_("The rule has no such threshold."), field=unknown[0])
    with transaction.atomic():
        row, _made = AlarmRule.objects.select_for_update().get_or_create(key=key)
        before, after = rule.values(row.values), rule.values({**row.values, **values})
        changes = [Change(n, before[n], after[n]) for n in after if before[n] != after[n]]
        if row.resting != resting:
            changes.append(Change("resting", row.resting, resting))
        if changes:
            row.values, row.resting = after, resting
            row.save(update_fields=["values", "resting"])
            log.record(actor, Act.ALARM_SET_RULE, log.Obj("alarm_rule", key, key), changes=changes)
    return row
