"""Verbs on keeping: how long, what goes, and what is held."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, override

from access import actions as access
from access import policy, second_person
from access.errors import Invalid, Missing, WrongState
from access.models import Proposal
from access.roles import Role
from access.second_person import Arguments, Line
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change, Obj
from audit.ledger.models import Event
from audit.office import retention
from audit.office.content.models import HELD, Erasure
from audit.office.models import Hold, HoldKind, RetentionPolicy

DAYS = gettext_noop("Events are kept (days)")
OUTSIDE = gettext_noop("Exports and what was sent outside (days)")
RELEASE = gettext_noop("Hold in force")
KIND = gettext_noop("Hold")
COVERS = gettext_noop("It covers")
MAX_REASON = 500
MAX_HOLDS = 1000


def set_retention(*, actor: Actor, days: int, outside_days: int, reason: str) -> Proposal:
    """Propose how long events are kept. Never less than the floors; a second person approves."""
    policy.require(actor, Act.AUDIT_SET_RETENTION)
    _possible(days, outside_days)
    now = retention.policy()
    if (now.days, now.outside_days) == (days, outside_days):
        raise Invalid(_("That is the policy already."), field="days")
    return access.request(
        actor=actor,
        act=Act.AUDIT_SET_RETENTION,
        target=Obj("retention", "policy"),
        difference=[Line(DAYS, now.days, days), Line(OUTSIDE, now.outside_days, outside_days)],
        arguments={"days": days, "outside_days": outside_days},
        reason=reason,
    )


def prune(*, actor: Actor) -> int:
    """Remove a batch of what is older than the policy says; returns how many events went.

    The event that says what goes is in the same transaction, before anything is removed. Nothing
    is removed that a hold covers; a second run finds the rest, or nothing.
    """
    policy.require(actor, Act.AUDIT_PRUNE)
    retention.floor()
    with transaction.atomic():
        retention.lock()
        batch = retention.next_batch()
        if batch is None:
            return 0
        rule = retention.policy()
        edge = retention.boundary(rule.days)
        event = log.record(
            actor,
            Act.AUDIT_PRUNE,
            Obj("log", str(batch.tree), f"{batch.spans[0][0]}-{batch.spans[-1][1]}"),
            details={
                "tree": batch.tree,
                "from": batch.spans[0][0],
                "to": batch.spans[-1][1],
                "count": batch.count,
                "bytes": batch.bytes,
                "spans": batch.digest,
                "policy": rule.pk,
                "days": rule.days,
                "outside_days": rule.outside_days,
                "boundary": edge.size if edge else 0,
                "root": edge.root.hex() if edge else "",
            },
        )
        return retention.remove(event.id, batch)


def hold(
    *,
    actor: Actor,
    kind: str,
    reason: str,
    value: str = "",
    label: str = "",
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> Hold:
    """Keep events whatever the policy says: one, or those of a person, a deployment, a period."""
    policy.require(actor, Act.AUDIT_HOLD, value)
    reason, value = reason.strip(), value.strip()
    if not reason or len(reason) > MAX_REASON:
        raise Invalid(_("Say why, in up to 500 characters."), field="reason")
    _covers(kind, value, from_at, to_at)
    period = kind == HoldKind.PERIOD
    with transaction.atomic():
        if Hold.objects.filter(released_at=None).count() >= MAX_HOLDS:
            raise WrongState(_("1000 holds are in force. Release some, or hold a period."))
        made = Hold.objects.create(
            kind=kind,
            value="" if period else value,
            label=label.strip()[:200] if kind == HoldKind.DEPLOYMENT else "",
            from_at=from_at if period else None,
            to_at=to_at if period else None,
            reason=reason,
            set_by=UUID(actor.id) if not actor.is_system else UUID(int=0),
        )
        log.record(
            actor,
            Act.AUDIT_HOLD,
            Obj("hold", str(made.pk), kind),
            *_held(made),
            reason=reason,
            changes=[Change("from", None, _text(from_at)), Change("to", None, _text(to_at))]
            if period
            else [],
        )
    return made


def release_hold(*, actor: Actor, hold: Hold, reason: str) -> Proposal:
    """Propose that a hold ends; a second person approves. What it covered may then be removed."""
    policy.require(actor, Act.AUDIT_RELEASE_HOLD, hold.pk)
    if hold.released_at is not None:
        raise WrongState(_("This hold was released already."))
    return access.request(
        actor=actor,
        act=Act.AUDIT_RELEASE_HOLD,
        target=Obj("hold", str(hold.pk), hold.kind),
        difference=[
            Line(RELEASE, True, False),
            Line(KIND, _kind(hold), None, worded=True),
            Line(COVERS, _words(hold), None),
        ],
        arguments={"hold": str(hold.pk)},
        reason=reason,
    )


def register() -> None:
    """How the two are applied once a second person has approved them."""
    roles = (Role.AUDIT, Role.SECURITY)
    second_person.register(
        Act.AUDIT_SET_RETENTION, roles=roles, apply=_set_retention, fingerprint=_policy_now
    )
    second_person.register(
        Act.AUDIT_RELEASE_HOLD, roles=roles, apply=_release, fingerprint=_hold_now
    )


def _set_retention(actor: Actor, arguments: Arguments) -> RetentionPolicy:
    policy.require(actor, Act.AUDIT_SET_RETENTION)
    days, outside_days = arguments["days"], arguments["outside_days"]
    _possible(days, outside_days)
    before = retention.policy()
    made = RetentionPolicy.objects.create(
        days=days, outside_days=outside_days, proposal_id=log.approval_id()
    )
    log.record(
        actor,
        Act.AUDIT_SET_RETENTION,
        Obj("retention", "policy"),
        changes=[
            Change("days", before.days, days),
            Change("outside_days", before.outside_days, outside_days),
        ],
    )
    return made


def _policy_now(_arguments: Arguments) -> str:
    return f"policy {retention.policy().pk}"


def _release(actor: Actor, arguments: Arguments) -> Hold:
    policy.require(actor, Act.AUDIT_RELEASE_HOLD, arguments["hold"])
    row = Hold.objects.get(pk=arguments["hold"])
    row.released_at, row.release_id = timezone.now(), log.approval_id()
    row.save(update_fields=["released_at", "release_id"])
    log.record(actor, Act.AUDIT_RELEASE_HOLD, Obj("hold", str(row.pk), row.kind), *_held(row))
    # What it kept of people who are to be erased is looked at again at once.
    Erasure.objects.filter(kept_for=HELD).update(due_at=row.released_at)
    return row


def _hold_now(arguments: Arguments) -> str:
    row = Hold.objects.filter(pk=arguments["hold"]).first()
    if row is None:
        raise Missing(_("There is no such hold."))
    return f"hold {row.pk} {row.released_at}"


def _possible(days: int, outside_days: int) -> None:
    least = retention.floor()
    if days < least:
        raise Invalid(
            _("Events are kept for at least %(days)d days here: the law asks for it.")
            % {"days": least},
            field="days",
        )
    if outside_days < retention.OUTSIDE_FLOOR:
        raise Invalid(
            _("What was sent outside is kept on record for at least %(days)d days (three years).")
            % {"days": retention.OUTSIDE_FLOOR},
            field="outside_days",
        )
    if max(days, outside_days) > retention.MOST:
        raise Invalid(_("A hundred years (36500 days) are the most."), field="days")
    if outside_days < days:
        raise Invalid(
            _("What was sent outside is kept at least as long as the rest."), field="outside_days"
        )


def _covers(kind: str, value: str, from_at: datetime | None, to_at: datetime | None) -> None:
    if kind not in HoldKind.values:
        raise Invalid(_("Choose what to hold."), field="kind")
    if kind == HoldKind.PERIOD:
        if from_at is None or to_at is None or to_at <= from_at:
            raise Invalid(_("A period has a beginning and a later end."), field="to_at")
        return
    try:
        pk = UUID(value)
    except ValueError as error:
        raise Invalid(_("Name it by its id; its page shows it."), field="value") from error
    if kind == HoldKind.EVENT and not Event.objects.filter(pk=pk).exists():
        raise Invalid(_("There is no such event."), field="value")


def _held(row: Hold) -> list[Obj]:
    """What a hold is on, as objects of its event: found by searching for the thing itself."""
    if row.kind == HoldKind.PERIOD:
        return []
    kind = "user" if row.kind == HoldKind.PERSON else row.kind
    return [Obj(kind, row.value, row.label)]


def _kind(row: Hold) -> str:
    """The message id of what it is on."""
    with override("en"):
        return str(HoldKind(row.kind).label)


def _words(row: Hold) -> str:
    if row.kind == HoldKind.PERIOD:
        return f"{_text(row.from_at)} – {_text(row.to_at)}"
    return row.label or row.value


def _text(moment: Any) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
