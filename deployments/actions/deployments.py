"""Verbs on deployments: create, start, stop, delete. Each hands the slow part to an operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.actions import revoke_grant
from access.errors import Invalid, WrongState
from access.models import Grant
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from deployments import approvals, recipes
from deployments.actions.operations import enqueue
from deployments.models import (
    Deployment,
    DeploymentState,
    Model,
    Node,
    Operation,
    OperationKind,
    Replica,
    ReplicaState,
    Revision,
)


def create_deployment(
    *,
    actor: Actor,
    name: str,
    model: Model,
    node: Node,
    system_prompt: str = "",
    parameters: Mapping[str, object] | None = None,
    description: str = "",
) -> Deployment:
    """A new deployment with its first revision; an operation switches it on."""
    policy.require(actor, Act.DEPLOYMENT_CREATE)
    name = recipes.valid_name(name)
    system_prompt = recipes.valid_system_prompt(system_prompt)
    numbers = recipes.valid_parameters(parameters or {})
    creator = None if actor.is_system else actor.id
    with transaction.atomic():
        if not node.stored.filter(model=model).exists():
            raise Invalid(
                _("%(model)s is not stored on %(node)s. Pull it there first.")
                % {"model": model, "node": node},
                field="model",
            )
        deployment = _new(name=name, description=description.strip()[:300], created_by_id=creator)
        revision = Revision.objects.create(
            deployment=deployment,
            number=1,
            model=model,
            system_prompt=system_prompt,
            parameters=numbers,
            created_by_id=creator,
        )
        Replica.objects.create(revision=revision, node=node)
        deployment.current = revision
        deployment.save(update_fields=["current"])
        log.record(
            actor,
            Act.DEPLOYMENT_CREATE,
            deployment.as_obj(),
            model.as_obj(),
            node.as_obj(),
            changes=[
                Change("revision", None, 1),
                Change("model", None, model.digest),
                Change("system_prompt", None, system_prompt or None, private=True),
                *(Change(f"parameters.{k}", None, f"{v:g}") for k, v in numbers.items()),
            ],
        )
        _hand_off(actor, OperationKind.DEPLOY, deployment, node)
    return deployment


def _new(**fields: Any) -> Deployment:
    """The row of a new deployment; its name is unique by a constraint."""
    deployment = Deployment(**fields)
    try:
        with transaction.atomic():
            deployment.save(force_insert=True)
    except IntegrityError as error:
        raise Invalid(_("There is a deployment of this name."), field="name") from error
    return deployment


def start(*, actor: Actor, deployment: Deployment) -> Operation:
    """Switch a stopped or failed deployment on again."""
    policy.require(actor, Act.DEPLOYMENT_START, deployment.pk)
    with transaction.atomic():
        locked, node = _locked(deployment, "can_start")
        before = _move(locked, DeploymentState.STARTING)
        Replica.objects.filter(revision=locked.current).update(
            state=ReplicaState.PENDING, problem=""
        )
        log.record(
            actor,
            Act.DEPLOYMENT_START,
            locked.as_obj(),
            changes=[Change("state", before, locked.state)],
        )
        return _hand_off(actor, OperationKind.DEPLOY, locked, node)


def stop(*, actor: Actor, deployment: Deployment) -> Operation:
    """Take a live deployment out of service; requests under way are answered first."""
    policy.require(actor, Act.DEPLOYMENT_STOP, deployment.pk)
    with transaction.atomic():
        locked, node = _locked(deployment, "can_stop")
        before = _move(locked, DeploymentState.STOPPING)
        log.record(
            actor,
            Act.DEPLOYMENT_STOP,
            locked.as_obj(),
            changes=[Change("state", before, locked.state)],
        )
        return _hand_off(actor, OperationKind.STOP, locked, node)


def delete(*, actor: Actor, deployment: Deployment) -> Operation:
    """Delete a deployment with its grants; its history stays in the log."""
    policy.require(actor, Act.DEPLOYMENT_DELETE, deployment.pk)
    with transaction.atomic():
        locked, node = _locked(deployment, "can_delete")
        before = _move(locked, DeploymentState.DELETING)
        for grant in Grant.objects.filter(deployment_id=locked.pk):
            revoke_grant(
                actor=Actor.system("deployment.delete"), row=grant, reason="deployment deleted"
            )
        log.record(
            actor,
            Act.DEPLOYMENT_DELETE,
            locked.as_obj(),
            changes=[Change("state", before, locked.state)],
        )
        return _hand_off(actor, OperationKind.DELETE, locked, node)


def _locked(deployment: Deployment, allowed: str) -> tuple[Deployment, Node | None]:
    """The row, locked, if its state allows the verb; and the node it is on."""
    locked = Deployment.objects.select_for_update().get(pk=deployment.pk)
    if not getattr(locked, allowed):
        raise WrongState(
            _("This is not possible while the deployment is “%(state)s”.")
            % {"state": locked.get_state_display()}
        )
    replica = Replica.objects.filter(revision=locked.current).select_related("node").first()
    return locked, replica.node if replica else None


def _move(deployment: Deployment, state: DeploymentState) -> str:
    before, deployment.state, deployment.problem = deployment.state, state, ""
    deployment.save(update_fields=["state", "problem"])
    return before


def _hand_off(
    actor: Actor, kind: OperationKind, deployment: Deployment, node: Node | None
) -> Operation:
    approvals.require_approved(kind, deployment)
    return enqueue(
        actor, kind, deployment.name, deployment=deployment, revision=deployment.current, node=node
    )
