"""Verbs on grants: which team, person or service account may use which deployment."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid
from access.models import Grant, Team, User
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj


def grant(
    *,
    actor: Actor,
    deployment_id: UUID,
    deployment_name: str,
    team: Team | None = None,
    user: User | None = None,
) -> Grant:
    """Let a team, or one person or service account, use a deployment. Twice changes nothing."""
    policy.require(actor, Act.GRANT_CREATE, deployment_id)
    holder = team or user
    if holder is None or (team is not None and user is not None):
        raise Invalid(_("Choose a team, a person or a service account."), field="holder")
    with transaction.atomic():
        row, created = Grant.objects.get_or_create(
            deployment_id=deployment_id,
            team=team,
            user=user,
            defaults={
                "deployment_name": deployment_name,
                "created_by_id": None if actor.is_system else actor.id,
            },
        )
        if created:
            log.record(actor, Act.GRANT_CREATE, deployment_obj(row), holder.as_obj())
    return row


def revoke_grant(*, actor: Actor, row: Grant, reason: str = "") -> None:
    """Take a grant back; the gateway stops honouring it within a second."""
    policy.require(actor, Act.GRANT_REVOKE, row.deployment_id)
    holder = row.holder
    with transaction.atomic():
        gone, _rows = Grant.objects.filter(pk=row.pk).delete()
        if gone:
            objects = [deployment_obj(row)] + ([holder.as_obj()] if holder else [])
            log.record(actor, Act.GRANT_REVOKE, *objects, reason=reason)


def deployment_obj(row: Grant) -> Obj:
    return Obj("deployment", str(row.deployment_id), row.deployment_name)
