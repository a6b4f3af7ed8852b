"""Pages of alarms: what waits, one in full, the rules, and what is new since a moment ago."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access import policy
from access.errors import Missing
from audit.ledger.acts import Act
from audit.office import actions
from audit.office.alarming import watch, words
from audit.office.alarming.rules import RULES, visible_to
from audit.office.models import Alarm, AlarmRule
from audit.office.reading import Reading
from console.alarm_forms import AcknowledgeForm, RuleForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, submit
from deployments.models import Node

SHOWN = 50
# Older than this, "new since" is no news.
LONGEST_NEWS = timedelta(minutes=10)
LATE = timedelta(minutes=3)
SHELVES = {
    "waiting": gettext_lazy("Waiting for a word"),
    "open": gettext_lazy("Still standing"),
    "all": gettext_lazy("All"),
}


def visible(request: PageRequest) -> QuerySet[Alarm]:
    """The alarms that the reader's role is shown."""
    return Alarm.objects.filter(rule__in=visible_to(request.actor.role))


def alarm_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.ALARM_VIEW)
    shelf = request.GET.get("show", "waiting")
    rows = visible(request)
    if shelf == "waiting":
        rows = rows.filter(acknowledged_at=None)
    elif shelf == "open":
        rows = rows.filter(closed_at=None)
    if (before := _moment(request.GET.get("before", ""))) is not None:
        rows = rows.filter(opened_at__lt=before)
    found = list(rows[: SHOWN + 1])
    looked_at = watch.looked_at()
    context = {
        "rows": lines(found[:SHOWN]),
        "shelf": shelf,
        "shelves": SHELVES.items(),
        "older": urlencode({"show": shelf, "before": found[SHOWN - 1].opened_at.isoformat()})
        if len(found) > SHOWN
        else "",
        "looked_at": looked_at,
        "late": looked_at is None or timezone.now() - looked_at > LATE,
        "failing": AlarmRule.objects.exclude(problem=""),
    }
    return render_page(request, "alarms/list.html", context, partial="alarms")


def lines(alarms: list[Alarm]) -> list[dict[str, Any]]:
    """Alarms with their words; names of people are asked for at once."""
    names = words.names_of(alarms)
    return [
        {
            "alarm": alarm,
            "title": words.title(alarm),
            "sentence": words.sentence(alarm, words.subject(alarm, names)),
            "severity": RULES[alarm.rule].severity if alarm.rule in RULES else 0,
        }
        for alarm in alarms
    ]


def alarm_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    """What happened, what is behind it, what was said of it; and the form to say a word."""
    alarm = policy.get_for(request.actor, Act.ALARM_VIEW, visible(request), pk)
    form = AcknowledgeForm(request.POST or None)
    if request.method == "POST":
        policy.require(request.actor, Act.ALARM_ACKNOWLEDGE, pk)
        verb = partial(actions.acknowledge_alarm, actor=request.actor, alarm=alarm)
        if submit(request, form, lambda given: verb(**given)):
            return redirect(request, reverse("alarm-detail", args=[pk]))
    events = []
    if policy.can(request.actor, Act.AUDIT_VIEW):
        events = actions.view_alarm_events(actor=request.actor, alarm=alarm)
    rule = RULES.get(alarm.rule)
    context = {
        **lines([alarm])[0],
        "rule": rule,
        "advice": words.advice(alarm),
        "facts": {k: v for k, v in alarm.facts.items() if k == "problem"},
        "words": _said(alarm),
        "node": _node(request, alarm),
        "form": form,
        "events": [Reading(event) for event in events],
        "query": urlencode(alarm.query),
    }
    status = 422 if form.errors else 200
    return render_page(request, "alarms/detail.html", context, status=status)


def _node(request: PageRequest, alarm: Alarm) -> Node | None:
    """The node that it is about, for readers who may open its page."""
    if alarm.subject_type != "node" or not policy.can(request.actor, Act.NODE_VIEW):
        return None
    try:
        return Node.objects.filter(pk=alarm.subject_id).first()
    except ValidationError:
        return None


def _said(alarm: Alarm) -> list[dict[str, Any]]:
    """What people said of it, by their names of today."""
    said = list(alarm.words.all())
    names = words.people_named(word.person_id for word in said)
    return [{"word": word, "who": names.get(word.person_id, word.person_id)} for word in said]


def alarm_news(request: PageRequest) -> HttpResponse:
    """How many wait, and what was opened since the reader's page last asked."""
    policy.require(request.actor, Act.ALARM_VIEW)
    now = timezone.now()
    since = _moment(request.GET.get("since", "")) or now
    since = max(since, now - LONGEST_NEWS)
    new = list(visible(request).filter(opened_at__gt=since, acknowledged_at=None)[:3])
    return render(request, "alarms/_news.html", {"news": lines(new), "asked": True})


def alarm_rules(request: PageRequest) -> HttpResponse:
    """Every rule: what it looks for, how it is set, when it looked last."""
    policy.require(request.actor, Act.ALARM_VIEW)
    rows = AlarmRule.objects.in_bulk()
    mine = [RULES[key] for key in visible_to(request.actor.role)]
    shown = [
        {
            "rule": rule,
            "row": rows.get(rule.key),
            "values": [
                (t, rule.values(rows[rule.key].values if rule.key in rows else {})[t.name])
                for t in rule.thresholds
            ],
        }
        for rule in mine
    ]
    return render_page(request, "alarms/rules.html", {"rules": shown})


def alarm_rule_set(request: PageRequest, key: str) -> HttpResponse:
    policy.require(request.actor, Act.ALARM_SET_RULE, key)
    rule = RULES.get(key)
    if rule is None:
        raise Missing(_("There is no such thing here, or it has been removed."))
    row = AlarmRule.objects.filter(key=key).first()
    form = RuleForm(rule, row, request.POST or None)
    if request.method == "POST" and not form.fields:
        return redirect(request, reverse("alarm-rules"))
    verb = partial(actions.set_alarm_rule, actor=request.actor, key=key)
    if request.method == "POST":
        done = submit(request, form, lambda given: verb(**form.verb_arguments(given)))
        if done is not None:
            return redirect(request, reverse("alarm-rules"))
    status = 422 if form.errors else 200
    return render_page(request, "alarms/rule.html", {"rule": rule, "form": form}, status=status)


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        return None
    return moment if moment is not None and timezone.is_aware(moment) else None
