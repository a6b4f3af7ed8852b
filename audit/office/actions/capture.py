"""Keeping prompts and answers of a deployment: two people begin it, one ends it."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from access import actions as access
from access import policy
from access.errors import WrongState
from access.models import Proposal
from access.second_person import Line
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change, Obj
from audit.office.content.models import CapturePolicy
from audit.office.content.terms import Terms, in_force

LABELS = {
    "prompt": gettext_noop("prompts"),
    "answer": gettext_noop("answers"),
    "percent": gettext_noop("share in percent"),
    "days": gettext_noop("kept for days"),
    "purpose": gettext_noop("purpose"),
    "necessity": gettext_noop("necessity"),
    "protection": gettext_noop("protection"),
}


def request_capture(
    *, actor: Actor, deployment_id: UUID, deployment_name: str, terms: Terms, reason: str
) -> Proposal:
    """Ask a second person to have content of a deployment kept, or kept in another way."""
    policy.require(actor, Act.CAPTURE_SET, deployment_id)
    terms = terms.checked()
    now = in_force(deployment_id)
    return access.request(
        actor=actor,
        act=Act.CAPTURE_SET,
        target=Obj("deployment", str(deployment_id), deployment_name),
        difference=[
            Line(label, getattr(now, name, None), getattr(terms, name))
            for name, label in LABELS.items()
        ],
        arguments={
            "deployment_id": str(deployment_id),
            "deployment_name": deployment_name,
            "terms": asdict(terms),
        },
        reason=reason,
    )


def set_capture(
    *, actor: Actor, deployment_id: UUID, deployment_name: str, terms: Terms
) -> CapturePolicy:
    """Begin it, because a second person agreed; what was in force before ends."""
    policy.require(actor, Act.CAPTURE_SET, deployment_id)
    terms = terms.checked()
    with transaction.atomic():
        before = CapturePolicy.objects.select_for_update().filter(
            deployment_id=deployment_id, ended_at=None
        )
        old = before.first()
        before.update(ended_at=timezone.now(), ended_by_id=actor.id)
        made = CapturePolicy.objects.create(
            deployment_id=deployment_id,
            deployment_name=deployment_name,
            proposer_id=actor.id,
            approver_id=log.approval().get("approver") or None,
            **asdict(terms),
        )
        log.record(
            actor,
            Act.CAPTURE_SET,
            Obj("deployment", str(deployment_id), deployment_name),
            Obj("capture", str(made.pk)),
            changes=[
                Change(name, getattr(old, name, None), getattr(made, name)) for name in LABELS
            ],
        )
    return made


def end_capture(*, actor: Actor, capture: CapturePolicy) -> CapturePolicy:
    """Keep nothing more of this deployment, at once; this needs nobody else. What is kept already
    goes when its period ends."""
    policy.require(actor, Act.CAPTURE_END, capture.pk)
    with transaction.atomic():
        rows = CapturePolicy.objects.filter(pk=capture.pk, ended_at=None)
        if not rows.update(ended_at=timezone.now(), ended_by_id=actor.id):
            raise WrongState(_("Nothing of this deployment is kept any more."))
        log.record(
            actor,
            Act.CAPTURE_END,
            Obj("deployment", str(capture.deployment_id), capture.deployment_name),
            Obj("capture", str(capture.pk)),
        )
    capture.refresh_from_db()
    return capture
