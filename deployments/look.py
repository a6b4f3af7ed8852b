"""From rows to what a decision needs: the wish, the places, the copies (deployments.plan).

Reads the database only: what nodes said was stored by deployments.fleet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from deployments import fleet, plan, room
from deployments.models import (
    Deployment,
    DeploymentState,
    Node,
    NodeStatus,
    Replica,
    ReplicaState,
    Revision,
)
from deployments.recipes import DEFAULT_NUM_CTX
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
    full = _full(deployment.target, nodes)
    revisions = {r.number: r for r in deployment.revisions.select_related("model", "deployment")}
    return View(
        deployment,
        _wish(deployment),
        {pk: _place(node, load[pk], pk not in full) for pk, node in nodes.items()},
        _copies(replicas.values(), nodes),
        nodes,
        revisions,
        replicas,
    )


def _full(target: Revision | None, nodes: dict[str, Node]) -> set[str]:
    """The nodes that have not the memory for the target."""
    if target is None:
        return set()
    context = int(target.parameters.get("num_ctx", DEFAULT_NUM_CTX))
    found = room.rooms(target.model, context, nodes.values())
    return {str(each.node.pk) for each in found if each.verdict is room.Verdict.NOT}


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


def _place(node: Node, load: int, fits: bool) -> plan.Place:
    return plan.Place(
        id=str(node.pk),
        name=node.name,
        presence=presence(node),
        open=node.duty == Duty.OPEN,
        draining=node.duty == Duty.DRAINING,
        labels=frozenset(node.labels),
        stores=frozenset(stored.model.identity for stored in node.stored.all()),
        load=load,
        fits=fits,
    )


def shared_tags(replica: Replica) -> set[str]:
    """Its own tag and those on the node made of the same weights: in memory they are one."""
    here = _on({replica.node_id})
    return {replica.revision.tag, *(r.revision.tag for r in here if _same_weights(r, replica))}


def _same_weights(one: Replica, other: Replica) -> bool:
    mine, theirs = one.revision.model, other.revision.model
    return mine.pk == theirs.pk or bool(mine.content and mine.content == theirs.content)


def _on(nodes: set[UUID]) -> QuerySet[Replica]:
    """All copies of all deployments on these nodes."""
    rows = Replica.objects.filter(node__in=nodes)
    return rows.select_related("revision__deployment", "revision__model")


def _copies(replicas: Collection[Replica], nodes: dict[str, Node]) -> list[plan.Copy]:
    there: dict[UUID, list[Replica]] = {}
    for row in _on({replica.node_id for replica in replicas}):
        there.setdefault(row.node_id, []).append(row)
    found = []
    for replica in replicas:
        here = there.get(replica.node_id, [])
        others = {r.revision.tag for r in here if not _same_weights(r, replica)}
        found.append(_copy(replica, nodes[str(replica.node_id)], others))
    return found


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
        pinned=any(m.get("name") not in others and fleet.pinned(m) for m in node.loaded),
        blocked=blocked,
    )
