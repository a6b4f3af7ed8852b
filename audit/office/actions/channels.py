"""Verbs of the receivers of alarms, and the end of each message to one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from audit.office.alarming import mail, notices, webhook
from audit.office.models import Channel, ChannelKind, Notice, NoticeState

MAX_NAME = 80
MOST_CHANNELS = 20
MOST_PER_HOUR = 60
MOST_SEVERE = 6
CHANGED = ("name", "address", "language", "least", "per_hour")


def add_channel(
    *,
    actor: Actor,
    name: str,
    kind: str,
    address: str,
    language: str = "en",
    least: int = 3,
    per_hour: int = 10,
) -> tuple[Channel, str]:
    """A new receiver. Returns it and, of a webhook, its signing key: shown now and never again."""
    policy.require(actor, Act.ALARM_ADD_CHANNEL)
    if kind not in ChannelKind.values:
        raise Invalid(_("Choose e-mail or webhook."), field="kind")
    made = Channel(kind=kind)
    _fill(
        made,
        {
            "name": name,
            "address": address,
            "language": language,
            "least": least,
            "per_hour": per_hour,
        },
    )
    key = ""
    if kind == ChannelKind.WEBHOOK:
        key, made.sealed = webhook.new_key()
    with transaction.atomic():
        if Channel.objects.count() >= MOST_CHANNELS:
            raise WrongState(_("There are 20 receivers. Remove one first."))
        _save(made)
        log.record(actor, Act.ALARM_ADD_CHANNEL, made.as_obj(), changes=_changes(None, made))
    return made, key


def change_channel(
    *,
    actor: Actor,
    channel: Channel,
    name: str,
    address: str,
    language: str,
    least: int,
    per_hour: int,
) -> Channel:
    """Change where it goes and how much; a webhook keeps its signing key."""
    policy.require(actor, Act.ALARM_CHANGE_CHANNEL, channel.pk)
    with transaction.atomic():
        locked = Channel.objects.select_for_update().get(pk=channel.pk)
        before = Channel.objects.get(pk=channel.pk)
        _fill(
            locked,
            {
                "name": name,
                "address": address,
                "language": language,
                "least": least,
                "per_hour": per_hour,
            },
        )
        changes = _changes(before, locked)
        if changes:
            _save(locked)
            log.record(actor, Act.ALARM_CHANGE_CHANNEL, locked.as_obj(), changes=changes)
    return locked


def remove_channel(*, actor: Actor, channel: Channel) -> None:
    """What waits for it is not sent any more."""
    policy.require(actor, Act.ALARM_REMOVE_CHANNEL, channel.pk)
    with transaction.atomic():
        log.record(actor, Act.ALARM_REMOVE_CHANNEL, channel.as_obj(), changes=_gone(channel))
        channel.delete()


def test_channel(*, actor: Actor, channel: Channel) -> Notice:
    """Send a test; how it went is shown beside the channel a moment later."""
    policy.require(actor, Act.ALARM_TEST_CHANNEL, channel.pk)
    with transaction.atomic():
        waiting = channel.notices.filter(kind="test", state=NoticeState.WAITING)
        if waiting.count() >= 3:
            raise WrongState(_("Three tests wait to be sent already."))
        made = notices.test(channel)
        log.record(actor, Act.ALARM_TEST_CHANNEL, channel.as_obj())
    return made


def settle_notice(*, actor: Actor, notice: Notice, problem: str) -> None:
    """A message has arrived, or was given up. Nothing when another worker holds it by now."""
    policy.require(actor, Act.ALARM_DELIVER)
    with transaction.atomic():
        state = NoticeState.FAILED if problem else NoticeState.SENT
        ours = Notice.objects.filter(
            pk=notice.pk, worker=notice.worker, state=NoticeState.SENDING
        ).update(state=state, problem=problem, ended_at=Now(), worker=None, lease_until=None)
        if ours:
            log.record(
                actor,
                Act.ALARM_DELIVER,
                notice.channel.as_obj(),
                outcome="failure" if problem else "success",
                reason=problem[:300],
                details={"kind": notice.kind, "alarms": notice.alarms, "tries": notice.attempt},
            )


# --- parts of the verbs ---------------------------------------------------------------------------


def _fill(channel: Channel, given: Mapping[str, Any]) -> None:
    """Set what was given, if it can be."""
    name = given["name"].strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise Invalid(_("Give it a name of up to 80 characters."), field="name")
    if given["language"] not in dict(settings.LANGUAGES):
        raise Invalid(_("There is no such language."), field="language")
    for field, most in (("least", MOST_SEVERE), ("per_hour", MOST_PER_HOUR)):
        if not 1 <= given[field] <= most:
            raise Invalid(
                _("Between %(least)d and %(most)d.") % {"least": 1, "most": most}, field=field
            )
    check = mail.checked_addresses if channel.kind == ChannelKind.EMAIL else webhook.checked_url
    address = check(given["address"])
    for field, value in {**given, "name": name, "address": address}.items():
        setattr(channel, field, value)


def _save(channel: Channel) -> None:
    try:
        with transaction.atomic():
            channel.save()
    except IntegrityError as error:
        raise Invalid(_("Another receiver has this name."), field="name") from error


def _changes(before: Channel | None, after: Channel) -> list[Change]:
    """Addresses of people are personal values."""
    private = after.kind == ChannelKind.EMAIL
    found = []
    for name in CHANGED:
        old, new = getattr(before, name) if before else None, getattr(after, name)
        if old != new:
            found.append(Change(name, old, new, private=private and name == "address"))
    return found


def _gone(channel: Channel) -> list[Change]:
    private = channel.kind == ChannelKind.EMAIL
    return [Change("address", channel.address, None, private=private)]
