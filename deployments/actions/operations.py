"""Verbs on operations, and the one place where an operation is put on the list."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from deployments import approvals, wake
from deployments.models import (
    LOCAL,
    UNDER_WAY,
    Deployment,
    DeploymentState,
    Operation,
    OperationKind,
)
from deployments.wishes import Wanted


def enqueue(actor: Actor, kind: OperationKind, subject: str, **fields: Any) -> Operation:
    """Write the operation and, once that is committed, wake a worker. Inside a transaction."""
    operation = Operation.objects.create(
        kind=kind,
        subject=subject,
        requested_by_id=None if actor.is_system else actor.id,
        requester=actor.name,
        **fields,
    )
    if kind not in LOCAL:
        wake.after_commit(operation)
    return operation


def cancel_operation(*, actor: Actor, operation: Operation) -> Operation:
    """Ask for a stop; the worker ends at its next step and undoes what was half made."""
    policy.require(actor, Act.OPERATION_CANCEL, operation.pk)
    with transaction.atomic():
        locked = Operation.objects.select_for_update().get(pk=operation.pk)
        if locked.cancel_requested_at is not None and not locked.is_final:
            return locked
        if not locked.can_cancel:
            raise WrongState(_("This operation has ended or cannot be cancelled."))
        locked.cancel_requested_at = timezone.now()
        locked.save(update_fields=["cancel_requested_at"])
        log.record(actor, Act.OPERATION_CANCEL, locked.as_obj())
        wake.after_commit(locked)
    return locked


def retry_operation(*, actor: Actor, operation: Operation) -> Operation:
    """Do an ended operation again, as a new one."""
    policy.require(actor, Act.OPERATION_RETRY, operation.pk)
    with transaction.atomic():
        if operation.deployment_id is not None:
            _prepare(
                Deployment.objects.select_for_update().get(pk=operation.deployment_id), operation
            )
        locked = Operation.objects.select_for_update().get(pk=operation.pk)
        if not locked.can_retry or locked.arguments.get("retried_as"):
            raise WrongState(
                _("Only an operation that failed or was cancelled can be tried again, once.")
            )
        again = enqueue(
            actor,
            OperationKind(locked.kind),
            locked.subject,
            deployment=locked.deployment,
            revision=locked.revision,
            node=locked.node,
            arguments=locked.arguments,
        )
        locked.arguments = {**locked.arguments, "retried_as": str(again.pk)}
        locked.save(update_fields=["arguments"])
        log.record(actor, Act.OPERATION_RETRY, locked.as_obj(), again.as_obj())
    return again


def _prepare(deployment: Deployment, operation: Operation) -> None:
    """Bring the deployment into the state that the operation starts from."""
    live = (DeploymentState.LIVE, (DeploymentState.LIVE,))
    allowed = {
        OperationKind.DEPLOY: (
            DeploymentState.STARTING,
            (DeploymentState.FAILED, DeploymentState.STOPPED),
        ),
        OperationKind.ROLL_OUT: live,
        OperationKind.REPAIR: live,
        OperationKind.STOP: (DeploymentState.STOPPING, (DeploymentState.STOPPING,)),
        OperationKind.DELETE: (DeploymentState.DELETING, (DeploymentState.DELETING,)),
    }
    state, sources = allowed[OperationKind(operation.kind)]
    busy = deployment.operations.filter(state__in=UNDER_WAY).exists()
    if busy or deployment.state not in sources:
        raise WrongState(_("The deployment has moved on since; look at its present state first."))
    if operation.kind == OperationKind.DEPLOY:
        deployment.wanted = Wanted.ON
    if operation.kind == OperationKind.ROLL_OUT and operation.revision is not None:
        deployment.target = operation.revision
    approvals.require_approved(OperationKind(operation.kind), deployment)
    deployment.state, deployment.problem, deployment.setback = state, "", ""
    deployment.version += 1
    deployment.save()
    deployment.unblock()
