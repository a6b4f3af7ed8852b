"""Verbs on the allow-list: the security administrator approves a model, or takes that back."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from deployments import approvals
from deployments.models import Approval, Model


def approve_model(*, actor: Actor, model: Model, accept_licence: bool = False) -> Approval:
    """Let the model of this digest be deployed. One that brings a licence is approved with it."""
    policy.require(actor, Act.MODEL_APPROVE, model.pk)
    licence = approvals.licence_digest(model)
    if licence and not accept_licence:
        raise Invalid(
            _("Read the licence and accept it: the model is used under its terms."),
            field="accept_licence",
        )
    with transaction.atomic():
        approval, new = Approval.objects.get_or_create(
            digest=model.digest,
            defaults={
                "name": model.name,
                "licence_sha256": licence,
                "approved_by_id": None if actor.is_system else actor.id,
                "approver": actor.name,
            },
        )
        if new:
            log.record(
                actor,
                Act.MODEL_APPROVE,
                model.as_obj(),
                changes=[Change("approved", False, True)],
                details={"licence_sha256": licence},
            )
    return approval


def revoke_approval(*, actor: Actor, model: Model) -> None:
    """Take an approval back. What runs goes on until it is stopped; it cannot be started again."""
    policy.require(actor, Act.MODEL_REVOKE_APPROVAL, model.pk)
    with transaction.atomic():
        gone, _rows = Approval.objects.filter(digest=model.digest).delete()
        if gone:
            log.record(
                actor,
                Act.MODEL_REVOKE_APPROVAL,
                model.as_obj(),
                changes=[Change("approved", True, False)],
            )
