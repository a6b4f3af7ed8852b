"""What a message says: a subject and a text for people, values for programs. Pure but for names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.office.alarming import words
from audit.office.alarming.rules import RULES
from audit.office.models import Alarm, Notice, NoticeKind
from audit.office.visible import visible

LONGEST_SUBJECT = 150


@dataclass(frozen=True, slots=True)
class Message:
    """`subject` is one line without unseen characters; `values` are for a program."""

    id: str
    subject: str
    text: str
    values: dict[str, Any]


def write(notice: Notice) -> Message:
    """The message of a notice, in the language of its channel."""
    known = {str(a.pk): a for a in Alarm.objects.filter(pk__in=notice.alarms)}
    alarms = [known[pk] for pk in notice.alarms if pk in known]
    with translation.override(notice.channel.language):
        subject = _subject(notice, alarms)
        text = _text(notice, alarms)
    return Message(str(notice.pk), subject, text, _values(notice, alarms))


def _subject(notice: Notice, alarms: list[Alarm]) -> str:
    if notice.kind == NoticeKind.TEST:
        told = _("This is a test")
    elif len(alarms) == 1:
        told = f"{words.title(alarms[0])}: {words.subject(alarms[0])}"
    else:
        count = len(alarms)
        told = ngettext("%(count)d more alarm", "%(count)d more alarms", count) % {"count": count}
    return f"[Fusebox] {told}"[:LONGEST_SUBJECT]


def _text(notice: Notice, alarms: list[Alarm]) -> str:
    if notice.kind == NoticeKind.TEST:
        return "\n".join(
            [
                _("This is a test. Alarms of this console are sent to %(name)s like this.")
                % {"name": visible(notice.channel.name)},
                "",
                settings.FUSEBOX_PUBLIC_URL,
            ]
        )
    parts = []
    if notice.kind == NoticeKind.SUMMARY:
        parts.append(_("More alarms than are sent one by one in an hour:"))
    parts += [_about(alarm) for alarm in alarms]
    return "\n\n".join(parts)


def _about(alarm: Alarm) -> str:
    opened = f"{timezone.localtime(alarm.opened_at):%Y-%m-%d %H:%M:%S %z}"
    return "\n".join(
        [
            words.sentence(alarm),
            words.advice(alarm),
            _("Opened %(time)s") % {"time": opened},
            address_of(alarm),
        ]
    )


def address_of(alarm: Alarm) -> str:
    return settings.FUSEBOX_PUBLIC_URL + reverse("alarm-detail", args=[alarm.pk])


def _values(notice: Notice, alarms: list[Alarm]) -> dict[str, Any]:
    """In English: a program reads names of rules, not sentences."""
    with translation.override("en"):
        return {
            "id": str(notice.pk),
            "kind": notice.kind,
            "console": settings.FUSEBOX_PUBLIC_URL,
            "alarms": [_value(alarm) for alarm in alarms],
        }


def _value(alarm: Alarm) -> dict[str, Any]:
    rule = RULES.get(alarm.rule)
    return {
        "id": str(alarm.pk),
        "rule": alarm.rule,
        "severity": rule.severity if rule else 0,
        "sentence": words.sentence(alarm),
        "subject": {
            "type": alarm.subject_type,
            "id": visible(alarm.subject_id),
            "name": words.subject(alarm),
            "part": visible(alarm.part),
        },
        "count": alarm.count,
        "opened_at": alarm.opened_at.isoformat(),
        "closed_at": alarm.closed_at.isoformat() if alarm.closed_at else None,
        "url": address_of(alarm),
    }
