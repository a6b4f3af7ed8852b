"""Parts of the verbs on deployments, inside their transactions: a new revision, its difference,
the operation that brings it about.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from django.db.models import Max

from audit.ledger.actor import Actor
from audit.ledger.log import Change
from deployments import approvals, recipes, wake
from deployments.actions.operations import enqueue
from deployments.models import (
    UNDER_WAY,
    Deployment,
    Model,
    Operation,
    OperationKind,
    Revision,
)


def new_revision(
    deployment: Deployment,
    model: Model,
    recipe: recipes.Recipe,
    *,
    creator: str | None,
    note: str = "",
) -> Revision:
    """The next revision; its number was never used before."""
    newest = deployment.revisions.aggregate(newest=Max("number"))["newest"] or 0
    return Revision.objects.create(
        deployment=deployment,
        number=newest + 1,
        model=model,
        system_prompt=recipe.system_prompt,
        parameters=recipe.parameters,
        template=recipe.template,
        schema=recipe.schema,
        scenario=recipe.scenario,
        note=note.strip()[:300],
        created_by_id=creator,
    )


def recipe_of(revision: Revision) -> recipes.Recipe:
    return recipes.Recipe(
        revision.system_prompt,
        revision.parameters,
        revision.template,
        revision.schema,
        revision.scenario,
    )


def lines_of(revision: Revision) -> list[str]:
    """A revision as lines of text."""
    return recipes.lines(
        revision.model.name,
        revision.model.digest,
        recipe_of(revision),
        adapter=revision.model.adapter,
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a comparison. sign: " " in both, "-" only in the old, "+" only in the new."""

    sign: str
    text: str


def compare(old: Revision, new: Revision) -> list[Line]:
    found = difflib.ndiff(lines_of(old), lines_of(new))
    return [Line(line[0], line[2:]) for line in found if not line.startswith("?")]


def recipe_changes(before: Revision | None, after: Revision) -> list[Change]:
    """What a revision changes, for the log; prompts and templates as commitments only."""
    changes = []
    old_parameters = before.parameters if before else {}
    if before is None or before.model_id != after.model_id:
        changes.append(Change("model", before.model.digest if before else None, after.model.digest))
    for name in ("system_prompt", "template", "schema"):
        old, new = getattr(before, name, None) or None, getattr(after, name) or None
        if old != new:
            changes.append(Change(name, _text(old), _text(new), private=True))
    old_scenario = before.scenario if before else ""
    if old_scenario != after.scenario:
        changes.append(Change("scenario", old_scenario or None, after.scenario or None))
    for name in sorted({*old_parameters, *after.parameters}):
        old_value, new_value = old_parameters.get(name), after.parameters.get(name)
        if old_value != new_value:
            changes.append(Change(f"parameters.{name}", _number(old_value), _number(new_value)))
    return changes


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"


def hand_off(actor: Actor, kind: OperationKind, deployment: Deployment) -> Operation:
    """The operation that brings the wish about: a new one, or the one that is already at it."""
    approvals.require_approved(kind, deployment)
    running = deployment.operations.filter(state__in=UNDER_WAY).first()
    if running is not None:
        running.retry_at = None
        running.save(update_fields=["retry_at"])
        wake.after_commit(running)
        return running
    # With one node named, the operation shows it; else it is about several.
    nodes = list(deployment.nodes.all()[:2])
    return enqueue(
        actor,
        kind,
        deployment.name,
        deployment=deployment,
        revision=deployment.target,
        node=nodes[0] if len(nodes) == 1 else None,
    )
