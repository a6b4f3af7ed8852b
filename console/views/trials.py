"""A trial of a scenario: the answers of the models beside one another, and forgetting texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from access.models import User
from audit.ledger.acts import Act
from console.requests import PageRequest, act
from deployments import actions, scenarios, trials
from deployments.models import Operation, OperationKind, OwnSample
from deployments.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Cell:
    """One model's answer to one sample; `sample` None: not asked yet."""

    model: str
    sample: dict[str, Any] | None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One sample with the answers beside one another. `hidden`: of somebody else's own."""

    number: int
    own: bool
    input: str
    expected: str
    hidden: bool
    answers: list[Cell] = field(default_factory=list)


@require_POST
def trial_forget(request: PageRequest, pk: UUID) -> HttpResponse:
    """Delete the texts of one's own that a trial was given, and the answers to them."""
    rows = Operation.objects.filter(kind=OperationKind.TRY)
    operation = policy.get_for(request.actor, Act.SCENARIO_FORGET, rows, pk)
    return act(
        request,
        lambda: actions.forget_samples(actor=request.actor, operation=operation),
        done=_("The texts and the answers to them are deleted. The figures stay."),
        then=url_of(operation),
    )


def url_of(operation: Operation) -> str:
    language = operation.arguments["language"]
    page = reverse("scenario-detail", args=[operation.arguments["scenario"]])
    return f"{page}?language={language}&trial={operation.pk}#trial"


def context_of(scenario: Scenario, language: str, asked: str, reader: User) -> dict[str, Any]:
    """The trial that was asked for, else the last one in this language, and what it found."""
    rows = Operation.objects.filter(
        kind=OperationKind.TRY, subject=scenario.key, arguments__language=language
    )
    trial = rows.filter(pk=asked).first() if is_uuid(asked) else None
    trial = trial or rows.order_by("-created_at").first()
    if trial is None:
        return {"trial": None}
    found = trials.tried(trial.result)
    proposal = trials.proposal(found)
    done, total = trials.progress(trial.arguments, found)
    own = list(trial.own_samples.all())
    mine = trial.requested_by_id == reader.pk
    return {
        "trial": trial,
        "tried": found,
        "proposal": proposal,
        "failed_smaller": trials.smaller(found, proposal) if proposal else [],
        "nearest": max(found, key=lambda t: t.passed, default=None),
        "answers_done": done,
        "answers_total": total,
        "changed_since": trial.arguments.get("recipe") != scenarios.digest(scenario, language),
        "lines": _lines(scenario, language, found, own if mine else []),
        "own_kept": bool(own),
        "own_mine": mine,
    }


def _lines(
    scenario: Scenario, language: str, found: list[trials.Tried], own: list[OwnSample]
) -> list[Line]:
    """The table: samples down, models across."""
    texts = {row.number: row for row in own}
    count = max((len(each.samples) for each in found), default=0)
    lines = []
    for index in range(count):
        first = next(t.samples[index] for t in found if len(t.samples) > index)
        number = first.get("own")
        if number is not None:
            row = texts.get(number)
            expected = orjson.dumps(row.fields).decode() if row and row.fields else ""
            line = Line(number, True, row.text if row else "", expected, hidden=row is None)
        elif index < len(scenario.samples):
            sample = scenario.samples[index]
            line = Line(index + 1, False, sample.input(language), "", hidden=False)
        else:
            line = Line(index + 1, False, "", "", hidden=False)
        line.answers.extend(_cell(each, index, texts) for each in found)
        lines.append(line)
    return lines


def _cell(tried: trials.Tried, index: int, own: dict[int, OwnSample]) -> Cell:
    if index >= len(tried.samples):
        return Cell(tried.model, None)
    sample = tried.samples[index]
    number = sample.get("own")
    if number is None:
        return Cell(tried.model, sample)
    row = own.get(number)
    words = row.answers.get(tried.id) if row else None
    return Cell(tried.model, {**sample, **(words or {})}, hidden=words is None)


def is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
