"""Where a model may be tried, best place first. A trial must not push out what serves:

a node that serves nothing comes first; then one where the same weights serve, which is asked with
the context that is loaded there; then one that has the room beside what it serves and says so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext_noop as _

from access.said import Said, Text, join, say
from deployments import ollama, room
from deployments.models import Model, Node, NodeStatus, Replica, ReplicaState, StoredModel
from deployments.recipes import DEFAULT_NUM_CTX
from deployments.wishes import Duty

AT_REST = (ReplicaState.STOPPED, ReplicaState.FAILED)
ORDER = (room.Verdict.FITS, room.Verdict.UNKNOWN, room.Verdict.TIGHT)
CLOSED: dict[str, str] = {
    NodeStatus.UNKNOWN: _("%(node)s has not been asked yet."),
    NodeStatus.DEGRADED: _("%(node)s is degraded."),
    NodeStatus.UNREACHABLE: _("%(node)s does not answer."),
    Duty.CORDONED: _("%(node)s is cordoned."),
    Duty.DRAINING: _("%(node)s is drained."),
}


@dataclass(frozen=True, slots=True)
class Spot:
    """A copy to ask, with how much context. `shared`: the same weights serve there."""

    stored: StoredModel
    context: int
    names: Collection[str]
    shared: bool = False
    rank: tuple[int, int] = (0, 0)


def spots(model: Model, context: int) -> list[Spot]:
    """Best first. Raises ModelMissing that says why there is none."""
    same = Q(model=model) | Q(model__content=model.content, model__content__gt="")
    copies = StoredModel.objects.filter(
        same, node__status=NodeStatus.ONLINE, node__duty=Duty.OPEN
    ).select_related("node")
    by_node = {copy.node_id: copy for copy in copies}
    if not by_node:
        none = say(_("No open node that answers stores %(model)s."), model=model.name)
        raise ollama.ModelMissing(join(none, *_why(same)))
    found: list[Spot] = []
    reasons: list[Said] = []
    for copy in by_node.values():
        spot = _spot(model, context, copy)
        if isinstance(spot, Said):
            reasons.append(spot)
        else:
            found.append(spot)
    if not found:
        raise ollama.ModelMissing(join(*reasons))
    return sorted(found, key=lambda spot: (spot.rank, spot.stored.node.name))


def _why(same: Q) -> list[Text]:
    """What is the matter with the nodes that store it."""
    copies = StoredModel.objects.filter(same).select_related("node")
    nodes = {copy.node.name: copy.node for copy in copies}.values()
    shut = [(n.name, n.status if n.duty == Duty.OPEN else n.duty) for n in nodes]
    return [say(CLOSED[why], node=name) for name, why in shut if why in CLOSED]


def _spot(model: Model, context: int, copy: StoredModel) -> Spot | Said:
    """The place, or why it is none."""
    node = copy.node
    names = room.names(model, [node])[node.pk]
    rows = Replica.objects.filter(node=node).exclude(state__in=AT_REST)
    serving = list(rows.select_related("revision__model", "revision__deployment"))
    same = [r for r in serving if r.revision.model.identity == model.identity]
    if same:
        loaded = max(int(r.revision.parameters.get("num_ctx", DEFAULT_NUM_CTX)) for r in same)
        return Spot(copy, loaded, names, shared=True, rank=(1, 0))
    (found,) = room.rooms(model, context, [node])
    if found.verdict is room.Verdict.NOT:
        return say(_("%(model)s does not fit on %(node)s."), model=model.name, node=node.name)
    if serving and (why := _in_the_way(node, serving[0], found)):
        return why
    return Spot(copy, context, names, rank=(2 if serving else 0, ORDER.index(found.verdict)))


def _in_the_way(node: Node, serving: Replica, found: room.Room) -> Said | None:
    """Why loading another model there could take out what serves; None when it would not."""
    names = {"node": node.name, "deployment": serving.revision.deployment.name}
    most = node.server.get("at_once")
    if most and len(node.loaded) >= most:
        if most == 1:
            return say(_("%(node)s holds 1 model at a time and serves %(deployment)s."), **names)
        many = _("%(node)s holds %(most)d models at a time and serves %(deployment)s.")
        return say(many, most=most, **names)
    if found.verdict is room.Verdict.UNKNOWN:
        return say(
            _(
                "%(node)s serves %(deployment)s, and nobody told how much memory it has: give its "
                "metrics or its memory."
            ),
            **names,
        )
    return None
