"""Where a deployment runs and how: replicas, labels or named nodes, strategy, when loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from audit.ledger.log import Change
from deployments import room
from deployments.models import Deployment, Model, Node, StoredModel
from deployments.recipes import Recipe
from deployments.wishes import (
    Keep,
    Strategy,
    show_timetable,
    valid_labels,
    valid_replicas,
    valid_timetable,
)

MAX_NODES = 100


@dataclass(frozen=True, slots=True)
class Placement:
    """The wish; `checked` before it is written. `replicas` None: one on each node that matches."""

    replicas: int | None = 1
    labels: Sequence[str] = ()
    nodes: Sequence[Node] = ()
    strategy: str = Strategy.TOGETHER
    keep: str = Keep.ALWAYS
    timetable: Sequence[dict[str, Any]] = field(default=())

    @classmethod
    def of(cls, deployment: Deployment) -> Placement:
        return cls(
            deployment.replicas_wanted,
            deployment.labels,
            list(deployment.nodes.all()),
            deployment.strategy,
            deployment.keep,
            deployment.timetable,
        )

    def checked(self) -> Placement:
        """The same, normalised. Raises Invalid that names the field."""
        if self.strategy not in Strategy.values:
            raise Invalid(_("There is no such strategy."), field="strategy")
        if self.keep not in Keep.values:
            raise Invalid(_("There is no such way to keep it loaded."), field="keep")
        if len(self.nodes) > MAX_NODES:
            raise Invalid(
                _("At most %(most)d nodes can be named; use labels.") % {"most": MAX_NODES},
                field="nodes",
            )
        return replace(
            self,
            replicas=valid_replicas(self.replicas),
            labels=valid_labels(self.labels),
            nodes=sorted(set(self.nodes), key=lambda n: n.name),
            timetable=valid_timetable(self.timetable, self.keep),
        )

    def matching(self) -> list[Node]:
        """The nodes that it names or whose labels it asks for."""
        nodes = self.nodes or Node.objects.all()
        return [n for n in nodes if set(self.labels) <= set(n.labels)]

    def require_model(self, model: Model) -> None:
        """Raise Invalid unless one of these nodes stores the model."""
        matching = self.matching()
        if not matching:
            raise Invalid(_("No node has these labels."), field="labels")
        if not _storing(model, matching):
            names = ", ".join(n.name for n in matching[:5])
            raise Invalid(
                _("%(model)s is not stored on %(node)s. Pull it there first.")
                % {"model": model, "node": names},
                field="model",
            )

    def require_room(self, model: Model, recipe: Recipe, because: str) -> str:
        """Raise Invalid when too few of these nodes have the memory for it; see room.require."""
        context = int(recipe.parameters["num_ctx"])
        return room.require(
            model, context, _storing(model, self.matching()), self.replicas, because
        )

    def write(self, deployment: Deployment) -> None:
        """Onto the row; the caller saves it."""
        deployment.replicas_wanted = self.replicas
        deployment.labels = list(self.labels)
        deployment.strategy, deployment.keep = self.strategy, self.keep
        deployment.timetable = list(self.timetable)
        deployment.nodes.set(self.nodes)

    def changes(self, before: Placement | None) -> list[Change]:
        """What differs, for the log."""
        old, new = (before.shown() if before else {}), self.shown()
        return [Change(k, old.get(k), v) for k, v in new.items() if old.get(k) != v]

    def shown(self) -> dict[str, str | int | None]:
        return {
            "replicas": self.replicas,
            "labels": ", ".join(self.labels) or None,
            "nodes": ", ".join(n.name for n in self.nodes) or None,
            "strategy": str(self.strategy),
            "keep": str(self.keep),
            "timetable": show_timetable(self.timetable) or None,
        }


def _storing(model: Model, nodes: list[Node]) -> list[Node]:
    """Those of the nodes that store the same weights."""
    same = Q(model=model) | Q(model__content=model.content, model__content__gt="")
    stored = StoredModel.objects.filter(same, node__in=nodes).values_list("node_id", flat=True)
    having = set(stored)
    return [node for node in nodes if node.pk in having]
