"""The changes of a rollout in the database, each one transaction with its event.

The gateways follow these rows: here is where routes open and close.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from access.said import Text, english, say
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from deployments.lease import Lease
from deployments.look import View
from deployments.models import (
    Deployment,
    DeploymentState,
    Node,
    Replica,
    ReplicaState,
    Revision,
)
from deployments.wishes import Wanted

WORKER = Actor.system("worker")
RETRY_S, RETRY_MOST_S = 30, 1800


def switch(
    lease: Lease, view: View, nodes: Iterable[str], close_these: Iterable[tuple[str, int]]
) -> None:
    """Open the route to the target on `nodes` and close the old ones, both or neither."""
    lease.step("publish")
    with transaction.atomic():
        deployment = _locked(lease, view)
        if deployment is None:
            return
        Replica.objects.filter(
            revision=deployment.target, node_id__in=list(nodes), state=ReplicaState.STANDBY
        ).update(state=ReplicaState.READY, problem="")
        _close(deployment, close_these)


def close(lease: Lease, view: View, copies: Iterable[tuple[str, int]]) -> None:
    """Nothing new goes to these; what is under way goes on."""
    with transaction.atomic():
        deployment = _locked(lease, view)
        if deployment is not None:
            _close(deployment, copies)


def _close(deployment: Deployment, copies: Iterable[tuple[str, int]]) -> None:
    for node, number in copies:
        Replica.objects.filter(
            revision__deployment=deployment,
            revision__number=number,
            node_id=node,
            state__in=[ReplicaState.READY, ReplicaState.STANDBY],
        ).update(state=ReplicaState.DRAINING, closed_at=None)


def settle(lease: Lease, view: View) -> None:
    """Write down that it is as wished."""
    with transaction.atomic():
        deployment = _locked(lease, view)
        if deployment is None:
            return
        if deployment.wanted == Wanted.ON:
            _live(deployment)
        elif deployment.wanted == Wanted.OFF:
            deployment.state, deployment.problem = DeploymentState.STOPPED, ""
            log.record(WORKER, Act.DEPLOYMENT_STOPPED, deployment.as_obj(), *_nodes(view))
        else:
            deployment.state, deployment.problem = DeploymentState.DELETED, ""
            log.record(WORKER, Act.DEPLOYMENT_DELETED, deployment.as_obj())
        deployment.settled_at = timezone.now()
        deployment.save()


def _live(deployment: Deployment) -> None:
    revision = deployment.target
    if revision is None:
        return
    if deployment.current_id != revision.pk:
        deployment.previous, deployment.current = deployment.current, revision
        deployment.setback = ""
    deployment.state, deployment.problem = DeploymentState.LIVE, ""
    deployment.live_at = timezone.now()
    ready = revision.replicas.filter(state=ReplicaState.READY).select_related("node")
    digests = sorted({r.digest for r in ready})
    log.record(
        WORKER,
        Act.DEPLOYMENT_LIVE,
        deployment.as_obj(),
        revision.model.as_obj(),
        *(r.node.as_obj() for r in ready),
        ai={
            "deployment": deployment.name,
            "revision": revision.number,
            "model": revision.model.name,
            "digest": revision.model.digest,
            "tag_digest": ", ".join(digests),
        },
    )


def give_up(lease: Lease, view: View, node: Node, reason: Text) -> bool:
    """The target does not serve on this node. True when the old revision is the wish again."""
    target = view.revisions[view.wish.target]
    with transaction.atomic():
        deployment = _locked(lease, view)
        if deployment is None:
            return False
        _blocked(deployment, node, target, reason)
        old = deployment.current
        if old is None or old.pk == target.pk:
            return False
        deployment.target = old
        deployment.version += 1
        deployment.setback = say(
            _("Revision %(number)d was not rolled out. %(node)s: %(reason)s"),
            number=target.number,
            node=node.name,
            reason=reason,
        )
        deployment.save(update_fields=["target", "version", "setback"])
        log.record(
            WORKER,
            Act.DEPLOYMENT_ROLLED_BACK,
            deployment.as_obj(),
            target.model.as_obj(),
            node.as_obj(),
            outcome="failure",
            reason=english(reason)[:300],
            changes=[Change("revision", target.number, old.number)],
        )
        return True


def _blocked(deployment: Deployment, node: Node, target: Revision, reason: Text) -> None:
    """Not tried again by itself before the first start has worked; then ever more rarely."""
    replica, _new = Replica.objects.get_or_create(revision=target, node=node)
    replica.state, replica.problem, replica.tries = ReplicaState.FAILED, reason, replica.tries + 1
    replica.digest, replica.attested_at, replica.retry_at = "", None, None
    if deployment.current_id == target.pk and deployment.live_at is not None:
        wait = min(RETRY_S * 2 ** min(replica.tries, 8), RETRY_MOST_S)
        replica.retry_at = timezone.now() + timedelta(seconds=wait)
    replica.save()


def nowhere(lease: Lease, view: View, reason: Text) -> None:
    """The target can be nowhere now. What serves goes on serving; without any it has failed."""
    with transaction.atomic():
        deployment = _locked(lease, view)
        if deployment is None:
            return
        serving = Replica.objects.filter(
            revision__deployment=deployment, state=ReplicaState.READY
        ).exists()
        if serving and deployment.state == DeploymentState.LIVE:
            deployment.problem = reason
            deployment.save(update_fields=["problem"])
        else:
            fail(deployment, reason)


def fail(deployment: Deployment, reason: Text) -> None:
    """Inside a transaction, on a locked row."""
    if deployment.state == DeploymentState.FAILED and deployment.problem == reason:
        return
    deployment.state, deployment.problem = DeploymentState.FAILED, reason
    deployment.save(update_fields=["state", "problem"])
    model = deployment.target.model if deployment.target else None
    log.record(
        WORKER,
        Act.DEPLOYMENT_FAILED,
        deployment.as_obj(),
        *([model.as_obj()] if model else []),
        outcome="failure",
        reason=english(reason)[:300],
    )


def tell(lease: Lease, view: View, problem: Text) -> None:
    """What is still missing, or nothing, on the deployment."""
    with transaction.atomic():
        deployment = _locked(lease, view)
        if deployment is None:
            return
        deployment.settled_at, deployment.problem = timezone.now(), problem
        deployment.save(update_fields=["settled_at", "problem"])


def call_off(lease: Lease, deployment: Deployment) -> None:
    """The wish before this one: the revision that serves, or off when there was none."""
    lease.write(step=lease.operation.step)
    if deployment.current is not None and deployment.target_id != deployment.current_id:
        deployment.target = deployment.current
        deployment.save(update_fields=["target"])
        return
    deployment.wanted, deployment.state = Wanted.OFF, DeploymentState.STOPPED
    deployment.problem = ""
    deployment.save(update_fields=["wanted", "state", "problem"])


def _locked(lease: Lease, view: View) -> Deployment | None:
    """The row, held by this worker, if the wish is still the one that was looked at."""
    lease.write(step=lease.operation.step)
    deployment = (
        Deployment.objects.select_for_update(of=("self",))
        .select_related("target__model", "current")
        .get(pk=view.deployment.pk)
    )
    return deployment if deployment.version == view.deployment.version else None


def _nodes(view: View) -> list[log.Obj]:
    ids = sorted({copy.node for copy in view.copies})
    return [view.nodes[pk].as_obj() for pk in ids if pk in view.nodes][:20]
