"""Verbs that change what a deployment should be: a new revision, back to the old, elsewhere."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from deployments import recipes
from deployments.models import (
    Deployment,
    DeploymentState,
    Model,
    Operation,
    OperationKind,
    Replica,
    ReplicaState,
    Revision,
)
from deployments.placement import Placement
from deployments.revising import hand_off, new_revision, recipe_changes, recipe_of
from deployments.wishes import Wanted

# Changes that may bring it to a node on which it was not.
ELSEWHERE = {"replicas", "labels", "nodes"}


def change(
    *,
    actor: Actor,
    deployment: Deployment,
    version: int,
    model: Model,
    note: str = "",
    fit_reason: str = "",
    **recipe: Any,
) -> Revision:
    """Make a new revision and roll it out. `version` is the one that the changer saw."""
    policy.require(actor, Act.DEPLOYMENT_CHANGE, deployment.pk)
    checked = recipes.valid_recipe(**recipe)
    with transaction.atomic():
        locked = _locked(deployment, version)
        where = Placement.of(locked)
        where.require_model(model)
        although = where.require_room(model, checked, fit_reason)
        before = locked.target
        revision = new_revision(
            locked, model, checked, creator=None if actor.is_system else actor.id, note=note
        )
        changes = recipe_changes(before, revision)
        if before is not None and not changes:
            transaction.set_rollback(True)
            return before
        _aim(locked, revision)
        log.record(
            actor,
            Act.DEPLOYMENT_CHANGE,
            locked.as_obj(),
            model.as_obj(),
            changes=[
                Change("revision", before.number if before else None, revision.number),
                *changes,
            ],
            reason=although,
        )
        _go(actor, locked)
    return revision


def rollback(*, actor: Actor, deployment: Deployment, version: int) -> Revision:
    """Back to the revision that served before, or call off the rollout that is under way."""
    policy.require(actor, Act.DEPLOYMENT_ROLLBACK, deployment.pk)
    with transaction.atomic():
        locked = _locked(deployment, version)
        before = locked.target
        elsewhere = locked.current is not None and locked.current_id != locked.target_id
        to = locked.current if elsewhere else locked.previous
        if to is None:
            raise WrongState(_("There is no earlier revision to go back to."))
        _aim(locked, to)
        log.record(
            actor,
            Act.DEPLOYMENT_ROLLBACK,
            locked.as_obj(),
            to.model.as_obj(),
            changes=[Change("revision", before.number if before else None, to.number)],
        )
        _go(actor, locked)
    return to


def place(
    *,
    actor: Actor,
    deployment: Deployment,
    version: int,
    placement: Placement,
    fit_reason: str = "",
) -> Deployment:
    """Change where it runs, how it is rolled out and when it is loaded. `fit_reason`: why to try
    what has no room there."""
    policy.require(actor, Act.DEPLOYMENT_PLACE, deployment.pk)
    where = placement.checked()
    with transaction.atomic():
        locked = _locked(deployment, version)
        before = Placement.of(locked)
        changes = where.changes(before)
        if not changes:
            return locked
        although = ""
        if locked.target is not None:
            where.require_model(locked.target.model)
            if {change.field for change in changes} & ELSEWHERE:
                recipe = recipe_of(locked.target)
                although = where.require_room(locked.target.model, recipe, fit_reason)
        where.write(locked)
        locked.version += 1
        locked.save()
        log.record(actor, Act.DEPLOYMENT_PLACE, locked.as_obj(), changes=changes, reason=although)
        _go(actor, locked)
    return locked


def restore(*, actor: Actor, deployment: Deployment) -> Operation:
    """Make revisions anew that somebody changed on their nodes."""
    policy.require(actor, Act.DEPLOYMENT_RESTORE, deployment.pk)
    with transaction.atomic():
        locked = Deployment.objects.select_for_update().get(pk=deployment.pk)
        changed = Replica.objects.filter(
            revision__deployment=locked, state=ReplicaState.FOREIGN
        ).select_related("node", "revision__deployment")
        nodes = [replica.node for replica in changed]
        if not nodes:
            raise WrongState(_("Nothing of it was changed on a node."))
        changed.update(state=ReplicaState.PENDING, digest="", attested_at=None, problem="")
        log.record(
            actor, Act.DEPLOYMENT_RESTORE, locked.as_obj(), *(n.as_obj() for n in nodes[:19])
        )
        return hand_off(actor, OperationKind.REPAIR, locked)


def _locked(deployment: Deployment, version: int) -> Deployment:
    """The row, locked, if nobody changed the wish since the changer looked."""
    locked = (
        Deployment.objects.select_for_update(of=("self",)).with_revisions().get(pk=deployment.pk)
    )
    if not locked.can_change:
        raise WrongState(
            _("This is not possible while the deployment is “%(state)s”.")
            % {"state": locked.get_state_display()}
        )
    if locked.version != version:
        newest = locked.revisions.select_related("created_by").first()
        raise WrongState(
            _(
                "Somebody changed it meanwhile (the newest revision is %(number)s, by %(who)s). "
                "Nothing of theirs was overwritten: look at it, then change it again."
            )
            % {
                "number": newest.number if newest else "–",
                "who": (newest.created_by if newest else None) or _("the console itself"),
            }
        )
    return locked


def _aim(deployment: Deployment, revision: Revision) -> None:
    if revision.deployment_id != deployment.pk:
        raise Invalid(_("This revision is of another deployment."), field="revision")
    deployment.target, deployment.setback, deployment.problem = revision, "", ""
    deployment.version += 1
    deployment.save(update_fields=["target", "setback", "problem", "version"])
    deployment.unblock()


def _go(actor: Actor, deployment: Deployment) -> None:
    """Hand it to a worker, unless it is switched off: then it waits for the start."""
    if deployment.wanted != Wanted.ON:
        return
    if deployment.state == DeploymentState.FAILED:
        deployment.state = DeploymentState.STARTING
        deployment.save(update_fields=["state"])
    hand_off(actor, OperationKind.ROLL_OUT, deployment)
