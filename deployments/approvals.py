"""The allow-list: only models that the security administrator approved may be deployed."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from deployments.models import Approval, Deployment, Model, OperationKind

# Bringing back what was changed on a node is no new decision; these are.
DEPLOYING = (OperationKind.DEPLOY, OperationKind.ROLL_OUT)
APPROVED = Exists(Approval.objects.filter(digest=OuterRef("digest")))


def require_approved(kind: OperationKind, deployment: Deployment) -> None:
    """Raise WrongState when `deployment` is to be served with a model without approval."""
    revision = deployment.target
    if kind in DEPLOYING and revision is not None:
        require_model(revision.model)


def require_model(model: Model) -> None:
    """Raise WrongState when the policy asks for an approval that the model has not."""
    if settings.REQUIRE_MODEL_APPROVAL and not is_approved(model):
        raise WrongState(
            _("%(model)s is not approved for use here. Ask a security administrator: %(who)s.")
            % {
                "model": model,
                "who": ", ".join(policy.who_can_help(Act.MODEL_APPROVE)) or "–",
            }
        )


def is_approved(model: Model) -> bool:
    return Approval.objects.filter(digest=model.digest).exists()


def carry_over(source: Model, copy: Model) -> None:
    """A copy that we made, blob by blob, of an approved model is approved: a node may write its
    manifest in other bytes and so give it another digest. Inside a transaction."""
    approval = Approval.objects.filter(digest=source.digest).first()
    if approval is None or is_approved(copy):
        return
    Approval.objects.create(
        digest=copy.digest,
        name=copy.name,
        licence_sha256=approval.licence_sha256,
        approved_by_id=approval.approved_by_id,
        approver=approval.approver,
    )
    log.record(
        Actor.system("worker"),
        Act.MODEL_APPROVE,
        copy.as_obj(),
        source.as_obj(),
        changes=[Change("approved", False, True)],
        reason=f"copy of {source.digest}",
    )


def licence_digest(model: Model) -> str:
    """Which text was accepted; empty when the model brings none."""
    return hashlib.sha256(model.licence.encode()).hexdigest() if model.licence else ""
