"""From rows to what a decision needs: the wish, the places, the copies (deployments.plan).

Reads the database only: what nodes said was stored by deployments.fleet.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from deployments import fleet, plan
from deployments.models import (
    Deployment,
    DeploymentState,
    Node,
    NodeStatus,
    Replica,
    ReplicaState,
    Revision,
)
from deployments.wishes import Duty, Wanted, kept_at

# A node that was away longer is replaced elsewhere, where there is an elsewhere.
LOST_AFTER = timedelta(seconds=60)


@dataclass(slots=True)
class View:
    """One deployment as it is wished and as it is, with the rows behind the ids."""

    deployment: Deployment
    wish: plan.Wish
    places: dict[str, plan.Place]
    copies: list[plan.Copy]
    nodes: dict[str, Node]
    revisions: dict[int, Revision]
    replicas: dict[tuple[str, int], Replica] = field(default_factory=dict)

    def decide(self) -> plan.Decision:
        return plan.decide(self.wish, self.places.values(), self.copies)


def look(deployment: Deployment) -> View:
    """The view of a deployment whose row is fresh."""
    nodes = {str(n.pk): n for n in Node.objects.prefetch_related("stored__model")}
    replicas = {
        (str(r.node_id), r.revision.number): r
        for r in Replica.objects.filter(revision__deployment=deployment).select_related(
            "revision__model", "revision__deployment", "node"
        )
    }
    load = Counter(
        str(node)
        for node in Replica.objects.filter(state=ReplicaState.READY)
        .exclude(revision__deployment=deployment)
        .values_list("node_id", flat=True)
    )
    revisions = {r.number: r for r in deployment.revisions.select_related("model", "deployment")}
    return View(
        deployment,
        _wish(deployment),
        {pk: _place(node, load[pk]) for pk, node in nodes.items()},
        [_copy(r, nodes[node], other_tags(r)) for (node, _number), r in replicas.items()],
        nodes,
        revisions,
        replicas,
    )


def _wish(deployment: Deployment) -> plan.Wish:
    target, current, previous = deployment.target, deployment.current, deployment.previous
    return plan.Wish(
        wanted=deployment.wanted,
        target=target.number if target else 0,
        current=current.number if current else None,
        previous=previous.number if previous else None,
        digest=target.model.identity if target else "",
        replicas=deployment.replicas_wanted,
        labels=frozenset(deployment.labels),
        nodes=frozenset(str(pk) for pk in deployment.nodes.values_list("pk", flat=True)),
        one_by_one=deployment.strategy == "one-by-one",
        keep=kept_at(deployment.keep, deployment.timetable, timezone.localtime()),
        settled=is_settled(deployment),
    )


def is_settled(deployment: Deployment) -> bool:
    """Whether the row says that everything is as wished."""
    ends = {
        Wanted.ON: DeploymentState.LIVE,
        Wanted.OFF: DeploymentState.STOPPED,
        Wanted.GONE: DeploymentState.DELETED,
    }
    done = deployment.state == ends[Wanted(deployment.wanted)]
    return done and (
        deployment.wanted != Wanted.ON or deployment.current_id == deployment.target_id
    )


def presence(node: Node) -> plan.Presence:
    if node.status in (NodeStatus.ONLINE, NodeStatus.UNKNOWN):
        return plan.Presence.UP
    last = node.proved_at if node.status == NodeStatus.DEGRADED else node.seen_at
    away = last is not None and timezone.now() - last < LOST_AFTER
    return plan.Presence.AWAY if away else plan.Presence.LOST


def _place(node: Node, load: int) -> plan.Place:
    return plan.Place(
        id=str(node.pk),
        name=node.name,
        presence=presence(node),
        open=node.duty == Duty.OPEN,
        draining=node.duty == Duty.DRAINING,
        labels=frozenset(node.labels),
        stores=frozenset(stored.model.identity for stored in node.stored.all()),
        load=load,
    )


def shared_tags(replica: Replica) -> set[str]:
    """Its own tag and those on the node made of the same weights: in memory they are one."""
    return {replica.revision.tag, *_tags(Replica.objects.filter(_same_weights(replica)), replica)}


def other_tags(replica: Replica) -> set[str]:
    """Tags of ours on the node that are made of other weights."""
    return _tags(Replica.objects.exclude(_same_weights(replica)), replica)


def _same_weights(replica: Replica) -> Q:
    model = replica.revision.model
    return Q(revision__model=model) | Q(
        revision__model__content=model.content, revision__model__content__gt=""
    )


def _tags(rows: QuerySet[Replica], replica: Replica) -> set[str]:
    found = rows.filter(node=replica.node_id).select_related("revision__deployment")
    return {row.revision.tag for row in found}


def _copy(replica: Replica, node: Node, others: set[str]) -> plan.Copy:
    # Weights are in memory once, under the name that asked first, though its tag may be gone: what
    # is kept there and is not known as something else is taken for this one.
    blocked = replica.state == ReplicaState.FAILED and (
        replica.retry_at is None or replica.retry_at > timezone.now()
    )
    return plan.Copy(
        node=str(replica.node_id),
        revision=replica.revision.number,
        state=plan.State(replica.state),
        held=replica.revision.tag in node.tags,
        pinned=any(m.get("name") not in others and fleet.pinned(m) for m in node.loaded),
        blocked=blocked,
    )
