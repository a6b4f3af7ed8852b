"""Witnesses: who may confirm heads of the log, what they said, and what alarmed them."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.cosignature import MAX_LINE, WitnessKey
from audit.ledger.log import Obj
from audit.ledger.models import Checkpoint, Tree
from audit.ledger.note import BadNote
from audit.office import witnessing
from audit.office.outside_models import Cosignature, Witness
from audit.office.witnessing import Answer, Finding, secret_hash

MAX_WITNESSES = 32
MAX_REASON = 500
# A witness whose clock is ahead of ours by more cannot be told from one that lies about it.
AHEAD = timedelta(minutes=5)


def register_witness(*, actor: Actor, vkey: str) -> tuple[Witness, str]:
    """Let a witness ask for heads and confirm them. Returns it and its secret, shown once."""
    policy.require(actor, Act.AUDIT_REGISTER_WITNESS)
    try:
        key = WitnessKey.parse(vkey)
    except BadNote as error:
        text = _("This is no key of a witness. It is what `witness.py init` prints.")
        raise Invalid(text, field="vkey") from error
    if len(key.name) > 80 or key.name == witnessing.base():
        raise Invalid(_("The name in this key is too long, or the log's own."), field="vkey")
    if Witness.objects.filter(revoked_at=None).count() >= MAX_WITNESSES:
        raise WrongState(_("There are 32 witnesses. Revoke one that is no longer there."))
    secret = "fbw_" + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            made = Witness.objects.create(
                name=key.name,
                vkey=key.vkey,
                sha256=secret_hash(secret),
                registered_by=actor.name,
            )
            details = {"vkey": key.vkey}
            log.record(actor, Act.AUDIT_REGISTER_WITNESS, made.as_obj(), details=details)
    except IntegrityError as error:
        text = _("There is, or was, a witness of this name or with this key.")
        raise Invalid(text, field="vkey") from error
    return made, secret


def revoke_witness(*, actor: Actor, witness: Witness) -> Witness:
    """It is answered no more, and its cosignatures are no longer given out."""
    policy.require(actor, Act.AUDIT_REVOKE_WITNESS)
    with transaction.atomic():
        locked = Witness.objects.select_for_update().get(pk=witness.pk)
        if locked.revoked_at:
            raise WrongState(_("This witness is revoked already."))
        locked.revoked_at = timezone.now()
        locked.save(update_fields=["revoked_at"])
        log.record(actor, Act.AUDIT_REVOKE_WITNESS, locked.as_obj())
    return locked


def answer_witness(*, actor: Actor, witness: Witness, seen: str) -> Answer:
    """The newest head, and the proof that it extends the one the witness saw.

    seen: that head, as it was signed; empty for the first. One that this log signed and cannot be
    led to the newest head is an alarm: the witness need not even say so.
    """
    policy.require(actor, Act.AUDIT_WITNESS)
    answer, finding = witnessing.answer(seen)
    if finding is not None:
        _alarm(actor, witness, finding)
    return answer


def confirm_head(*, actor: Actor, witness: Witness, head: str, line: str) -> datetime:
    """Keep a witness's signature on a head of ours. Returns its time.

    It leaves no event of its own: that would make the head it confirms old, every minute.
    """
    policy.require(actor, Act.AUDIT_WITNESS)
    if len(line) > MAX_LINE or len(head) > MAX_LINE:
        raise Invalid(_("The cosignature is too long."), field="line")
    try:
        at = witness.key.confirmed_at(line, head)
    except BadNote as error:
        raise Invalid(str(error), field="line") from error
    if at > timezone.now() + AHEAD:
        raise Invalid(_("The clock of this witness is ahead of ours."), field="line")
    checkpoint = witnessing.signed_as(head)
    if checkpoint is None:
        raise Invalid(_("This is no head of this log."), field="head")
    with transaction.atomic():
        locked = Witness.objects.select_for_update().get(pk=witness.pk)
        if locked.revoked_at:
            raise WrongState(_("This witness is revoked already."))
        if locked.confirmed_at and at < locked.confirmed_at:
            raise WrongState(_("This was confirmed before; what came later counts."))
        _keep(locked, checkpoint, line, at)
        if locked.late_since:
            log.record(actor, Act.AUDIT_SINK_UP, locked.as_obj(), details={"size": locked.size})
        locked.tree, locked.size = checkpoint.tree, checkpoint.size
        locked.confirmed_at, locked.late_since = at, None
        locked.save(update_fields=["tree", "size", "confirmed_at", "late_since"])
    return at


def _keep(witness: Witness, head: Checkpoint, line: str, at: datetime) -> None:
    """Of each hour the last."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    earlier = witness.cosignatures.filter(tree=head.tree, at__gte=hour, at__lte=at)
    earlier.delete()
    Cosignature.objects.create(
        witness=witness,
        tree=head.tree,
        size=head.size,
        note=head.note,
        line=line.rstrip("\n") + "\n",
        at=at,
    )


def report_alarm(*, actor: Actor, witness: Witness, kind: str, text: str, note: str) -> None:
    """What a witness found wrong with what it was given."""
    policy.require(actor, Act.AUDIT_WITNESS)
    if kind not in witnessing.KINDS:
        raise Invalid(_("This kind of alarm is not known."), field="kind")
    _alarm(actor, witness, Finding(kind, text[:MAX_REASON], note[:MAX_LINE]))


def _alarm(actor: Actor, witness: Witness, finding: Finding) -> None:
    """Once for as long as it stands: a witness may repeat itself."""
    with transaction.atomic():
        locked = Witness.objects.select_for_update().get(pk=witness.pk)
        if locked.alarm:
            return
        locked.alarm, locked.alarm_at = f"{finding.kind}: {finding.text}", timezone.now()
        locked.alarm_note = finding.note
        locked.save(update_fields=["alarm", "alarm_at", "alarm_note"])
        details: dict[str, Any] = {"kind": finding.kind, "note": finding.note}
        log.record(
            actor,
            Act.AUDIT_WITNESS_ALARM,
            locked.as_obj(),
            outcome="failure",
            reason=finding.text,
            details=details,
        )


def settle_witness_alarm(*, actor: Actor, witness: Witness, reason: str) -> Witness:
    """Say what came of an alarm; the banner goes, the events stay."""
    policy.require(actor, Act.AUDIT_SETTLE_WITNESS_ALARM)
    reason = reason.strip()
    if not reason or len(reason) > MAX_REASON:
        raise Invalid(_("Say what happened, in up to 500 characters."), field="reason")
    with transaction.atomic():
        locked = Witness.objects.select_for_update().get(pk=witness.pk)
        if not locked.alarm:
            raise WrongState(_("There is no alarm of this witness."))
        details = {"alarm": locked.alarm}
        locked.alarm, locked.alarm_at, locked.alarm_note = "", None, ""
        locked.save(update_fields=["alarm", "alarm_at", "alarm_note"])
        log.record(
            actor,
            Act.AUDIT_SETTLE_WITNESS_ALARM,
            locked.as_obj(),
            reason=reason,
            details=details,
        )
    return locked


def note_late_witnesses(*, actor: Actor) -> int:
    """Who has confirmed nothing for too long is late, once; returns how many became so."""
    policy.require(actor, Act.AUDIT_SINK_DOWN)
    since = timezone.now() - timedelta(hours=settings.WITNESS_LATE_HOURS)
    if not Tree.objects.exists():
        return 0
    found = 0
    with transaction.atomic():
        for witness in witnessing.silent_since(since).select_for_update(skip_locked=True):
            witness.late_since = timezone.now()
            witness.save(update_fields=["late_since"])
            log.record(
                actor,
                Act.AUDIT_SINK_DOWN,
                Obj("outside", f"witness:{witness.pk}", witness.name),
                outcome="failure",
                reason="the witness has confirmed nothing for too long",
                details={"size": witness.size},
            )
            found += 1
    return found
