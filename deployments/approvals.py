"""The allow-list: only models that the security administrator approved may be deployed."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import WrongState
from audit.ledger.acts import Act
from deployments.models import Approval, Deployment, Model, OperationKind

APPROVED = Exists(Approval.objects.filter(digest=OuterRef("digest")))


def require_approved(kind: OperationKind, deployment: Deployment) -> None:
    """Raise WrongState when `deployment` is to be switched on with a model without approval."""
    revision = deployment.current
    if kind is not OperationKind.DEPLOY or revision is None or not settings.REQUIRE_MODEL_APPROVAL:
        return
    if not is_approved(revision.model):
        raise WrongState(
            _("%(model)s is not approved for use here. Ask a security administrator: %(who)s.")
            % {
                "model": revision.model,
                "who": ", ".join(policy.who_can_help(Act.MODEL_APPROVE)) or "–",
            }
        )


def is_approved(model: Model) -> bool:
    return Approval.objects.filter(digest=model.digest).exists()


def licence_digest(model: Model) -> str:
    """Which text was accepted; empty when the model brings none."""
    return hashlib.sha256(model.licence.encode()).hexdigest() if model.licence else ""
