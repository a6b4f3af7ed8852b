"""Verbs on scenarios: trying their samples, and one's own, on models that the nodes store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.event import Obj
from deployments import approvals, own_samples, scenarios
from deployments.actions.operations import enqueue
from deployments.models import UNDER_WAY, Model, Operation, OperationKind, OwnSample

MOST_MODELS = 8


def try_scenario(
    *,
    actor: Actor,
    scenario: str,
    language: str,
    models: Sequence[Model],
    own: Sequence[own_samples.Given] = (),
) -> Operation:
    """Ask its samples, and texts of one's own, of each of the models, one after the other; the
    figures are the operation's result. Whoever asks for what is under way already, without texts
    of their own, gets the same operation."""
    policy.require(actor, Act.SCENARIO_TRY)
    found = scenarios.get(scenario)
    if found is None:
        raise Invalid(_("There is no such scenario."), field="scenario")
    if language not in scenarios.LANGUAGES:
        raise Invalid(_("The language is en or zh."), field="language")
    chosen = _chosen(models)
    mine = own_samples.checked(found, own)
    arguments: dict[str, Any] = {
        "scenario": scenario,
        "language": language,
        "models": [str(model.pk) for model in chosen],
        "names": {str(model.pk): model.name for model in chosen},
        "recipe": scenarios.digest(found, language),
        "samples": len(found.samples) + len(mine),
        "own": len(mine),
    }
    with transaction.atomic():
        running = Operation.objects.filter(
            kind=OperationKind.TRY, state__in=UNDER_WAY, arguments=arguments
        ).first()
        if running is None or mine:
            operation = enqueue(actor, OperationKind.TRY, scenario, arguments=arguments)
            rows = own_samples.as_rows(mine)
            OwnSample.objects.bulk_create(OwnSample(operation=operation, **row) for row in rows)
        else:
            operation = running
        log.record(
            actor,
            Act.SCENARIO_TRY,
            Obj("scenario", scenario, scenario),
            *(model.as_obj() for model in chosen),
            operation.as_obj(),
            details={"language": language, "own": len(mine)},
        )
    return operation


def forget_samples(*, actor: Actor, operation: Operation) -> int:
    """Delete the texts of one's own that a trial was given, and the answers to them; how many."""
    policy.require(actor, Act.SCENARIO_FORGET, operation.pk)
    with transaction.atomic():
        count, _rows = OwnSample.objects.filter(operation=operation).delete()
        if count:
            log.record(actor, Act.SCENARIO_FORGET, operation.as_obj(), details={"texts": count})
    return count


def _chosen(models: Sequence[Model]) -> list[Model]:
    """Smallest first, each approved where the policy asks for it."""
    if not 0 < len(models) <= MOST_MODELS:
        raise Invalid(
            _("Choose from one to %(most)d models.") % {"most": MOST_MODELS}, field="models"
        )
    for model in models:
        approvals.require_model(model)
    return sorted(models, key=lambda m: (m.size_bytes, m.name))
