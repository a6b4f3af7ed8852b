"""Sending what waits, one message after the other, held by a lease.

A worker that is killed while it sends leaves its lease to run out, and another sends the message
again: it may arrive twice, under the same id, and never not at all. A channel that hangs holds up
this task for seconds, and nothing else.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from audit.ledger.actor import Actor
from audit.office import actions
from audit.office.alarming import mail, messages, webhook
from audit.office.alarming.mail import NotSent
from audit.office.models import Channel, ChannelKind, Notice, NoticeState

logger = logging.getLogger(__name__)

ACTOR = Actor.system("alarms")
LEASE = timedelta(seconds=60)
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
TRIES = 12
AT_ONCE = 20


def deliver_due() -> int:
    """Send what is due; how many messages arrived. Safe to call twice, and at once."""
    arrived, failed = 0, set[uuid.UUID]()
    for _turn in range(AT_ONCE):
        notice = _claim(failed)
        if notice is None:
            break
        try:
            send(notice.channel, messages.write(notice))
        except NotSent as error:
            failed.add(notice.channel_id)
            _put_off(notice, str(error))
        else:
            arrived += 1
            actions.settle_notice(actor=ACTOR, notice=notice, problem="")
    return arrived


def send(channel: Channel, message: messages.Message) -> None:
    """Raises NotSent."""
    if channel.kind == ChannelKind.EMAIL:
        mail.send(message, channel.address.split(", "))
    else:
        webhook.send(message, channel.address, channel.sealed)


def _claim(failed: set[uuid.UUID]) -> Notice | None:
    """The oldest message that is due and that nobody sends, ours for the length of a lease."""
    now = timezone.now()
    free = Q(state=NoticeState.WAITING, due_at__lte=now)
    free |= Q(state=NoticeState.SENDING, lease_until__lt=now)
    due = Notice.objects.filter(free).exclude(channel_id__in=failed).order_by("due_at")
    for pk in due.values_list("pk", flat=True)[:AT_ONCE]:
        token = uuid.uuid4()
        ours = Notice.objects.filter(free, pk=pk).update(
            state=NoticeState.SENDING, worker=token, lease_until=now + LEASE,
            attempt=F("attempt") + 1,
        )  # fmt: skip
        if ours:
            return Notice.objects.select_related("channel").get(pk=pk)
    return None


def _put_off(notice: Notice, problem: str) -> None:
    """Later again, each time after twice as long; given up in the end, which is an event."""
    if notice.attempt >= TRIES:
        actions.settle_notice(actor=ACTOR, notice=notice, problem=problem)
        return
    wait = min(FIRST_WAIT * 2 ** (notice.attempt - 1), LONGEST_WAIT)
    logger.warning("a message to %s did not arrive: %s", notice.channel_id, problem)
    Notice.objects.filter(
        pk=notice.pk, worker=notice.worker, state=NoticeState.SENDING
    ).update(
        state=NoticeState.WAITING, due_at=timezone.now() + wait, problem=problem, worker=None,
        lease_until=None,
    )  # fmt: skip
