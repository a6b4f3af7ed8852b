"""What a revision was chosen by: the figures of a trial, kept with it. Called by verbs, inside
their transactions. Evaluations on case sets of the organisation's own would be kept here, too.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from deployments import recipes, trials
from deployments.models import Evaluation, EvaluationKind, Operation, OperationKind, Revision


def require_trial(trial: Operation | None, scenario: str) -> None:
    """Raise Invalid unless it is a trial of this scenario that has ended."""
    if trial is None:
        return
    if trial.kind != OperationKind.TRY or trial.arguments.get("scenario") != scenario:
        raise Invalid(_("This is no trial of this scenario."), field="trial")
    if not trial.is_final:
        raise Invalid(_("The trial has not ended yet."), field="trial")


def keep(revision: Revision, trial: Operation | None) -> None:
    """The figures of the trial that the revision comes from, without a word of any sample."""
    if trial is None:
        return
    recipe = recipes.digest(revision.system_prompt, revision.parameters, revision.schema)
    found = trials.tried(trial.result)
    proposed = trials.proposal(found)
    Evaluation.objects.create(
        revision=revision,
        kind=EvaluationKind.SAMPLES,
        operation=trial,
        result={
            "scenario": trial.arguments["scenario"],
            "language": trial.arguments["language"],
            "own": trial.arguments.get("own", 0),
            "same_recipe": recipe == trial.arguments["recipe"],
            "digest": revision.model.digest,
            "proposed": proposed.digest if proposed else "",
            "models": [each.figures() for each in found],
        },
    )
