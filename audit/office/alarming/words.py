"""An alarm in words, in the language that is active. Names and texts of others are shown so that
they can neither hide nor forge a line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext as _

from access.models import User
from audit.office.alarming.rules import RULES
from audit.office.models import Alarm
from audit.office.visible import visible

PEOPLE = ("user", "service_account")
LONGEST_NAME = 80
TIMES = ("since", "hour")


def title(alarm: Alarm) -> str:
    rule = RULES.get(alarm.rule)
    return str(rule.title) if rule else alarm.rule


def sentence(alarm: Alarm, name: str | None = None) -> str:
    """What happened. An alarm of a rule of another version is shown by its name."""
    rule = RULES.get(alarm.rule)
    if rule is None:
        return alarm.rule
    values: dict[str, Any] = defaultdict(lambda: "–")
    values |= {key: _fact(key, value) for key, value in alarm.facts.items()}
    values["subject"] = name if name is not None else subject(alarm)
    values["part"] = _cut(alarm.part)
    values["count"] = alarm.count
    return str(rule.sentence) % values


def advice(alarm: Alarm) -> str:
    rule = RULES.get(alarm.rule)
    return str(rule.advice) if rule else ""


def subject(alarm: Alarm, names: Mapping[str, str] | None = None) -> str:
    """What or whom it is about, by its name of today."""
    if alarm.subject_type == "many":
        return _("many at once (%(count)s)") % {"count": alarm.facts.get("subjects", "–")}
    if alarm.subject_type in PEOPLE:
        known = names if names is not None else names_of([alarm])
        return _cut(known.get(alarm.subject_id, "") or alarm.subject_id)
    return _cut(alarm.subject_label or alarm.subject_id)


def names_of(alarms: Iterable[Alarm]) -> dict[str, str]:
    """The names of the people that these alarms are about, asked at once."""
    return people_named(a.subject_id for a in alarms if a.subject_type in PEOPLE)


def people_named(ids: Iterable[str]) -> dict[str, str]:
    """Id -> name of today; ids that are nobody's are left out."""
    rows = User.objects.filter(pk__in=[pk for pk in ids if _is_id(pk)])
    return {
        str(user.pk): user.username if str(user) == user.username else f"{user} ({user.username})"
        for user in rows
    }


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _cut(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: LONGEST_NAME - 1]}…"


def _fact(key: str, value: object) -> str:
    if key in TIMES and isinstance(value, str):
        try:
            return f"{timezone.localtime(datetime.fromisoformat(value)):%Y-%m-%d %H:%M:%S}"
        except ValueError:
            return "–"
    if key == "bytes" and isinstance(value, int):
        return filesizeformat(value)
    return visible(str(value))
