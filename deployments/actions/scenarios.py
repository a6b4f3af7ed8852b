"""Verbs on scenarios: trying their samples on models that the nodes store."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.event import Obj
from deployments import approvals, scenarios
from deployments.actions.operations import enqueue
from deployments.models import UNDER_WAY, Model, Operation, OperationKind

MOST_MODELS = 8


def try_scenario(
    *, actor: Actor, scenario: str, language: str, models: Sequence[Model]
) -> Operation:
    """Ask its samples of each of the models, one after the other; the figures are the operation's
    result. Whoever asks for what is under way already gets the same operation."""
    policy.require(actor, Act.SCENARIO_TRY)
    if scenarios.get(scenario) is None:
        raise Invalid(_("There is no such scenario."), field="scenario")
    if language not in scenarios.LANGUAGES:
        raise Invalid(_("The language is en or zh."), field="language")
    if not 0 < len(models) <= MOST_MODELS:
        raise Invalid(
            _("Choose from one to %(most)d models.") % {"most": MOST_MODELS}, field="models"
        )
    for model in models:
        approvals.require_model(model)
    chosen = sorted(models, key=lambda m: (m.size_bytes, m.name))
    arguments = {
        "scenario": scenario,
        "language": language,
        "models": [str(model.pk) for model in chosen],
    }
    with transaction.atomic():
        running = Operation.objects.filter(
            kind=OperationKind.TRY, state__in=UNDER_WAY, arguments=arguments
        ).first()
        operation = running or enqueue(actor, OperationKind.TRY, scenario, arguments=arguments)
        log.record(
            actor,
            Act.SCENARIO_TRY,
            Obj("scenario", scenario, scenario),
            *(model.as_obj() for model in chosen),
            operation.as_obj(),
            details={"language": language},
        )
    return operation
