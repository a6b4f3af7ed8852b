"""Which messages go to whom: each alarm once, a reminder a day, and a flood as one summary an hour.

Rows only: they are sent by alarming.delivery. Called inside the transaction that opens the alarm.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from audit.office import wake
from audit.office.alarming.rules import Rule
from audit.office.models import Alarm, Channel, Notice, NoticeKind, NoticeState

HOUR = timedelta(hours=1)
AGAIN = timedelta(hours=24)
MOST_IN_SUMMARY = 200


def tell(alarm: Alarm, rule: Rule) -> None:
    """Have every channel told that wants to hear of it, or add it to the channel's summary.

    That messages do not arrive is told to the other channels only through the pages: a message
    about messages that fail would fail, too.
    """
    if rule.key == "undelivered":
        return
    channels = list(Channel.objects.filter(least__lte=rule.severity).select_for_update(no_key=True))
    for channel in channels:
        if _sent_lately(channel) < channel.per_hour:
            _create(channel, NoticeKind.ALARM, [str(alarm.pk)])
        else:
            _sum_up(channel, alarm)
    if channels:
        Alarm.objects.filter(pk=alarm.pk).update(told_at=timezone.now())


def remind(alarm: Alarm, rule: Rule) -> None:
    """Once a day, as long as it goes on and nobody has said a word about it."""
    quiet = alarm.told_at is not None and alarm.told_at > timezone.now() - AGAIN
    if alarm.acknowledged_at is None and alarm.told_at is not None and not quiet:
        tell(alarm, rule)


def test(channel: Channel) -> Notice:
    return _create(channel, NoticeKind.TEST, [])


def _sent_lately(channel: Channel) -> int:
    since = timezone.now() - HOUR
    rows = Notice.objects.filter(channel=channel, created_at__gt=since)
    return rows.exclude(kind=NoticeKind.TEST).count()


def _create(channel: Channel, kind: NoticeKind, alarms: list[str]) -> Notice:
    made = Notice.objects.create(channel=channel, kind=kind, alarms=alarms)
    transaction.on_commit(wake.notices)
    return made


def _sum_up(channel: Channel, alarm: Alarm) -> None:
    """Into the summary that waits; it goes out within the hour."""
    waiting = Notice.objects.select_for_update().filter(
        channel=channel, kind=NoticeKind.SUMMARY, state=NoticeState.WAITING, attempt=0
    )
    summary = waiting.first() or Notice(
        channel=channel, kind=NoticeKind.SUMMARY, due_at=timezone.now() + HOUR
    )
    if str(alarm.pk) not in summary.alarms:
        summary.alarms = [*summary.alarms, str(alarm.pk)][-MOST_IN_SUMMARY:]
    summary.save()
