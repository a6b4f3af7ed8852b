"""What fits where: the arithmetic of deployments.fit against what each node has free.

Deploying what fits nowhere is refused, unless somebody says why it should be tried all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from deployments import fit
from deployments.models import Model, Node, NodeStatus, Replica, StoredModel
from deployments.recipes import DEFAULT_NUM_CTX

# Servers before this one reserve for two requests at once by themselves, later ones for one.
ONE_AT_ONCE_FROM = (0, 12)
MAX_REASON = 300


class Verdict(models.TextChoices):
    FITS = "fits", _("Fits")
    TIGHT = "tight", _("Tight")
    NOT = "not", _("Does not fit")
    UNKNOWN = "unknown", _("Nobody knows")


@dataclass(frozen=True, slots=True)
class Room:
    """One model with one context on one node. `free` None: nobody told what the node has."""

    node: Node
    need: fit.Need | None
    free: int | None
    verdict: Verdict
    context: int | None = None
    quantization: str | None = None


def rooms(
    model: Model, context: int = DEFAULT_NUM_CTX, nodes: Iterable[Node] | None = None
) -> list[Room]:
    """For each of the nodes, or each that answers: what the model needs there, what is free, and
    what would fit instead."""
    awake = Node.objects.exclude(status=NodeStatus.UNREACHABLE)
    asked = list(awake if nodes is None else nodes)
    known, shape = names(model, asked), shape_of(model)
    return [_room(model, shape, context, node, known[node.pk]) for node in asked]


def _room(model: Model, shape: fit.Shape | None, context: int, node: Node, known: set[str]) -> Room:
    free = _free(node, known)
    if shape is None:
        return Room(node, None, free, Verdict.UNKNOWN)
    cache_type = str(node.server.get("cache_type") or "f16")
    parallel = parallel_of(node)
    need = fit.need(shape, model.size_bytes, context, parallel=parallel, cache_type=cache_type)
    if free is None:
        return Room(node, need, None, Verdict.UNKNOWN)
    if need.total <= free:
        tight = need.total > fit.TIGHT * free
        return Room(node, need, free, Verdict.TIGHT if tight else Verdict.FITS)
    return Room(
        node,
        need,
        free,
        Verdict.NOT,
        fit.largest_context(
            shape, model.size_bytes, free, context, parallel=parallel, cache_type=cache_type
        ),
        fit.smaller_quantization(
            shape, model.size_bytes, free, context, parallel=parallel, cache_type=cache_type
        ),
    )


def shape_of(model: Model) -> fit.Shape | None:
    """Its own, or that of the same weights elsewhere while its node has not told."""
    told = model.shape
    if not told and model.content:
        same = Model.objects.filter(content=model.content).exclude(shape={})
        told = same.values_list("shape", flat=True).first() or {}
    try:
        return fit.Shape(**told)
    except TypeError:
        return None


def parallel_of(node: Node) -> int:
    """How many requests at once its server reserves memory for, told or by itself."""
    if told := node.server.get("parallel"):
        return int(told)
    found = re.match(r"v?(\d+)\.(\d+)", node.version)
    older = found and (0, 0) < (int(found[1]), int(found[2])) < ONE_AT_ONCE_FROM
    return 2 if older else 1


def _free(node: Node, names: set[str]) -> int | None:
    """Bytes free for a model: GPU memory where there is some, else what the machine's exporter or
    somebody said. What runs under `names` is counted as free: the same weights are there once."""
    held = [loaded for loaded in node.loaded if loaded.get("name") in names]
    memory = sum(int(loaded.get("size") or 0) for loaded in held)
    if total := node.machine.get("gpu_total"):
        vram = sum(int(loaded.get("size_vram") or 0) for loaded in held)
        return int(total) - int(node.machine.get("gpu_used") or 0) + vram
    if free := node.machine.get("memory_free"):
        return int(free) + memory
    if node.memory_declared is None:
        return None
    return node.memory_declared - node.memory_bytes + memory


def names(model: Model, nodes: list[Node]) -> dict[UUID, set[str]]:
    """Under which names each node may have the same weights in memory."""
    same = Q(pk=model.pk) | Q(content=model.content, content__gt="")
    models = Model.objects.filter(same).values("pk")
    found: dict[UUID, set[str]] = {node.pk: set() for node in nodes}
    stored = StoredModel.objects.filter(node__in=nodes, model__in=models)
    for node, tag in stored.values_list("node_id", "tag"):
        found[node].add(tag)
    replicas = Replica.objects.filter(node__in=nodes, revision__model__in=models)
    for replica in replicas.select_related("revision__deployment"):
        found[replica.node_id].add(replica.revision.tag)
    return found


def require(
    model: Model, context: int, nodes: list[Node], replicas: int | None, because: str
) -> str:
    """Raise Invalid when fewer nodes have room than replicas are wanted; returns `because`, cut,
    when that is so and somebody said why to try it."""
    nodes = [n for n in nodes if n.status != NodeStatus.UNREACHABLE] or nodes
    found = rooms(model, context, nodes)
    room_for = [r for r in found if r.verdict is not Verdict.NOT]
    wanted = min(len(nodes), len(nodes) if replicas is None else replicas)
    if len(room_for) >= wanted:
        return ""
    if because.strip():
        return because.strip()[:MAX_REASON]
    worst = next(r for r in found if r.verdict is Verdict.NOT)
    raise Invalid(_told(model, worst), field="fit_reason")


def _told(model: Model, room: Room) -> str:
    """Why it does not fit, and what would."""
    assert room.need is not None and room.free is not None  # noqa: S101  for the type checker
    values = {
        "model": model,
        "node": room.node,
        "need": _gb(room.need.total),
        "free": _gb(room.free),
        "context": room.need.context,
        "smaller": room.context,
        "quantization": room.quantization,
    }
    why = _(
        "%(model)s with a context of %(context)d tokens needs %(need)s GB; %(node)s has %(free)s "
        "GB free."
    )
    if room.context:
        hint = _("With a context of %(smaller)d it would fit.")
    elif room.quantization:
        hint = _("Quantized as %(quantization)s it would fit.")
    else:
        hint = _("Choose a smaller model or another node.")
    ask = _("To try it all the same, say why.")
    return f"{why % values} {hint % values} {ask}"


def _gb(size: int) -> str:
    return f"{max(0, size) / 1e9:.2f}"
