"""Bringing one deployment to what is wished: look, decide, do one step, look again.

The same loop switches on, rolls out, repairs, stops and deletes; deployments.plan decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_noop as _

from access.said import Said, Text, join, say
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from deployments import fleet, ollama, plan
from deployments.lease import Lease
from deployments.look import View, look
from deployments.models import (
    Deployment,
    DeploymentState,
    Node,
    OperationKind,
    Replica,
    ReplicaState,
)
from deployments.wishes import Wanted
from deployments.work import replicas, transitions

WORKER = Actor.system("worker")
MAX_STEPS = 1000
MAX_REASONS = 10
OnNode = plan.Make | plan.Rest | plan.Remove | plan.Pin


@dataclass(slots=True)
class _Course:
    """What happened on the way: why a revision was given up, and why a node could not be used."""

    rolled_back: Text = ""
    failures: dict[str, Text] = field(default_factory=dict)


def converge(lease: Lease) -> None:
    """Step by step to the wanted state. Raises OllamaError when it is not reached, with why."""
    course = _Course()
    view = _look(lease)
    _refresh(view, {c.node for c in view.copies} | view.wish.nodes)
    for _step in range(MAX_STEPS):
        lease.check()
        view = _look(lease)
        decision = view.decide()
        if decision.step is None:
            _end(lease, view, decision, course)
            return
        _do(lease, view, decision.step, course)
    raise ollama.OllamaError(say(_("It does not come to rest; see the log of this operation.")))


def _look(lease: Lease) -> View:
    return look(Deployment.objects.with_revisions().get(pk=_pk(lease)))


def _pk(lease: Lease) -> UUID:
    if lease.operation.deployment_id is None:
        raise ollama.OllamaError(say(_("The deployment has been removed meanwhile.")))
    return lease.operation.deployment_id


def _refresh(view: View, ids: set[str] | frozenset[str]) -> None:
    for pk in ids:
        if pk in view.nodes:
            fleet.check(view.nodes[pk])


def _do(lease: Lease, view: View, step: plan.Step, course: _Course) -> None:
    """Do one step; what goes wrong with a node or a revision becomes state for the next look."""
    match step:
        case plan.Switch(nodes, close):
            transitions.switch(lease, view, nodes, close)
        case plan.Close(copies):
            transitions.close(lease, view, copies)
        case plan.Settle():
            transitions.settle(lease, view)
        case plan.Make(node) | plan.Rest(node) | plan.Remove(node) | plan.Pin(node):
            try:
                _on_node(lease, view, step, view.nodes[node])
            except ollama.OllamaError as error:
                course.failures[view.nodes[node].name] = error.text
                _went_wrong(lease, view, step, course)
            _refresh(view, {node})


def _on_node(lease: Lease, view: View, step: OnNode, node: Node) -> None:
    target = view.revisions[view.wish.target]
    match step:
        case plan.Make():
            replicas.make(lease, node, target, keep=view.wish.keep)
        case plan.Pin(load=load):
            replicas.pin(lease, node, target, load=load)
        case plan.Rest(revision=number):
            replicas.rest(lease, node, view.revisions[number], view.deployment)
        case plan.Remove(revision=number):
            replicas.remove(lease, node, view.revisions[number])


def _went_wrong(lease: Lease, view: View, step: OnNode, course: _Course) -> None:
    """Tell a node that is away from a revision that does not serve, by asking the node again."""
    node = view.nodes[step.node]
    reason = course.failures[node.name]
    lease.note(_at(node.name, reason))
    checked = fleet.check(node)
    if checked is None or not checked.seen_at or checked.status == "unreachable":
        return
    if not isinstance(step, plan.Make):
        raise ollama.OllamaError(_at(node.name, reason))
    target = view.revisions[view.wish.target]
    left = _remove(node, target.tag)
    if left:
        still = say(_("%(tag)s is still on the node: %(reason)s"), tag=target.tag, reason=left)
        reason = join(reason, still)
    if transitions.give_up(lease, view, node, reason):
        course.rolled_back = _at(node.name, reason)


def _at(node: str, reason: Text) -> Said:
    return say(_("%(node)s: %(reason)s"), node=node, reason=reason)


def _remove(node: Node, tag: str) -> Text:
    """Remove what may be half made; the reason if that was not possible."""
    try:
        fleet.api(node).delete(tag)
    except ollama.OllamaError as error:
        return error.text
    return ""


def _end(lease: Lease, view: View, decision: plan.Decision, course: _Course) -> None:
    """Nothing more can be done now: say how far it came."""
    wish = view.wish
    if course.rolled_back:
        raise ollama.OllamaError(course.rolled_back)
    if wish.wanted != Wanted.ON:
        if decision.waiting:
            names = ", ".join(view.nodes[pk].name for pk in decision.waiting if pk in view.nodes)
            raise ollama.Unreachable(say(_("Waiting for %(nodes)s."), nodes=names))
        return
    reasons = _reasons(view, course)
    if not decision.chosen:
        transitions.nowhere(lease, view, reasons)
        raise ollama.OllamaError(reasons)
    short = wish.replicas is not None and len(decision.chosen) < wish.replicas
    problem: Text = ""
    if short:
        given = {"there": len(decision.chosen), "wanted": wish.replicas}
        problem = join(say(_("%(there)d of %(wanted)d replicas."), **given), reasons)
    transitions.tell(lease, view, problem)


def _reasons(view: View, course: _Course) -> Text:
    """Why the target is not everywhere it should be, in sentences with the names of nodes."""
    found: list[Text] = []
    for pk, place in sorted(view.places.items(), key=lambda item: view.nodes[item[0]].name):
        node = view.nodes[pk]
        replica = view.replicas.get((pk, view.wish.target))
        if view.wish.nodes and pk not in view.wish.nodes:
            continue
        if node.name in course.failures:
            found.append(_at(node.name, course.failures[node.name]))
        elif replica is not None and replica.problem:
            found.append(_at(node.name, replica.problem))
        elif place.presence is not plan.Presence.UP:
            found.append(_at(node.name, node.problem or say(_("it does not answer."))))
        elif view.wish.digest not in place.stores:
            model = view.revisions[view.wish.target].model
            missing = say(_("%(model)s is not stored there."), model=model.name)
            found.append(_at(node.name, missing))
    if len(found) > MAX_REASONS:
        more = say(_("And %(number)d more nodes."), number=len(found) - MAX_REASONS)
        found = [*found[:MAX_REASONS], more]
    nothing = say(_("No node matches: look at labels, cordons and drained nodes."))
    return join(*found) if found else nothing


def failed(lease: Lease, reason: Text) -> None:
    """An operation ended in an error; one that nothing serves after is a failed deployment."""
    deployment = lease.operation.deployment
    if deployment is None:
        return
    with transaction.atomic():
        lease.write(step=lease.operation.step)
        locked = Deployment.objects.select_for_update().get(pk=deployment.pk)
        if locked.state == DeploymentState.STARTING:
            transitions.fail(locked, reason)


def cancelled(lease: Lease) -> None:
    """Back to what served before: nothing half made stays, and the reconciler does the rest."""
    deployment = Deployment.objects.with_revisions().get(pk=_pk(lease))
    abandoned = deployment.target
    if abandoned is None:
        return
    half = Replica.objects.filter(
        revision=abandoned, state__in=[ReplicaState.PENDING, ReplicaState.STANDBY]
    )
    if lease.operation.kind == OperationKind.REPAIR or abandoned.pk != deployment.current_id:
        for replica in half.select_related("node", "revision__deployment"):
            if not _remove(replica.node, replica.revision.tag):
                replica.delete()
    with transaction.atomic():
        locked = Deployment.objects.select_for_update(of=("self",)).get(pk=deployment.pk)
        transitions.call_off(lease, locked)
        Deployment.objects.filter(pk=locked.pk).update(version=F("version") + 1)
        log.record(
            WORKER,
            Act.DEPLOYMENT_STOPPED if locked.current is None else Act.DEPLOYMENT_ROLLED_BACK,
            locked.as_obj(),
            outcome="aborted",
            reason="it was cancelled",
        )
