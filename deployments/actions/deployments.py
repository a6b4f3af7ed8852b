"""Verbs on deployments: create, start, stop, delete. Each hands the slow part to an operation."""

from __future__ import annotations

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
from deployments import evaluations, recipes
from deployments.models import (
    Deployment,
    DeploymentState,
    Model,
    Node,
    Operation,
    OperationKind,
)
from deployments.placement import Placement
from deployments.revising import hand_off, new_revision, recipe_changes
from deployments.wishes import Wanted


def create_deployment(
    *,
    actor: Actor,
    name: str,
    model: Model,
    node: Node | None = None,
    placement: Placement | None = None,
    description: str = "",
    fit_reason: str = "",
    trial: Operation | None = None,
    **recipe: Any,
) -> Deployment:
    """A new deployment with its first revision; an operation switches it on.

    Where: on `node`, or as `placement` says. `fit_reason`: why to try what fits nowhere. `trial`:
    whose figures are kept with the revision. `recipe` as deployments.recipes.valid_recipe takes it.
    """
    policy.require(actor, Act.DEPLOYMENT_CREATE)
    name = recipes.valid_name(name)
    checked = recipes.valid_recipe(**recipe)
    where = (placement or Placement(nodes=[node] if node else [])).checked()
    creator = None if actor.is_system else actor.id
    with transaction.atomic():
        where.require_model(model)
        evaluations.require_trial(trial, checked.scenario)
        although = where.require_room(model, checked, fit_reason)
        deployment = _new(name=name, description=description.strip()[:300], created_by_id=creator)
        revision = new_revision(deployment, model, checked, creator=creator)
        evaluations.keep(revision, trial)
        where.write(deployment)
        deployment.target = revision
        deployment.save()
        log.record(
            actor,
            Act.DEPLOYMENT_CREATE,
            deployment.as_obj(),
            model.as_obj(),
            *(n.as_obj() for n in where.nodes),
            *([trial.as_obj()] if trial else []),
            changes=[
                Change("revision", None, 1),
                *recipe_changes(None, revision),
                *where.changes(None),
            ],
            reason=although,
        )
        hand_off(actor, OperationKind.DEPLOY, deployment)
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
        locked = _locked(deployment, "can_start")
        before = _move(locked, Wanted.ON, DeploymentState.STARTING)
        locked.unblock()
        log.record(
            actor,
            Act.DEPLOYMENT_START,
            locked.as_obj(),
            changes=[Change("state", before, locked.state)],
        )
        return hand_off(actor, OperationKind.DEPLOY, locked)


def stop(*, actor: Actor, deployment: Deployment) -> Operation:
    """Take a live deployment out of service; requests under way are answered first."""
    policy.require(actor, Act.DEPLOYMENT_STOP, deployment.pk)
    with transaction.atomic():
        locked = _locked(deployment, "can_stop")
        before = _move(locked, Wanted.OFF, DeploymentState.STOPPING)
        log.record(
            actor,
            Act.DEPLOYMENT_STOP,
            locked.as_obj(),
            changes=[Change("state", before, locked.state)],
        )
        return hand_off(actor, OperationKind.STOP, locked)


def delete(*, actor: Actor, deployment: Deployment) -> Operation:
    """Delete a deployment with its grants; its history stays in the log."""
    policy.require(actor, Act.DEPLOYMENT_DELETE, deployment.pk)
    with transaction.atomic():
        locked = _locked(deployment, "can_delete")
        before = _move(locked, Wanted.GONE, DeploymentState.DELETING)
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
        return hand_off(actor, OperationKind.DELETE, locked)


def _locked(deployment: Deployment, allowed: str) -> Deployment:
    """The row, locked, if its state allows the verb."""
    locked = Deployment.objects.select_for_update().get(pk=deployment.pk)
    if not getattr(locked, allowed):
        raise WrongState(
            _("This is not possible while the deployment is “%(state)s”.")
            % {"state": locked.get_state_display()}
        )
    return locked


def _move(deployment: Deployment, wanted: Wanted, state: DeploymentState) -> str:
    before, deployment.state, deployment.problem = deployment.state, state, ""
    deployment.wanted, deployment.setback = wanted, ""
    deployment.version += 1
    deployment.save(update_fields=["state", "problem", "wanted", "setback", "version"])
    return before
