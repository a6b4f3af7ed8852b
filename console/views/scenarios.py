"""Pages of scenarios: choose a job, see what it asks for and what fits, begin with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from audit.ledger.acts import Act
from console.fleet_forms import shown_schema
from console.htmx import redirect, render_page
from console.requests import PageRequest, submit
from console.scenario_forms import TryForm
from console.views import trials
from deployments import actions, own_samples, room, scenarios
from deployments.approvals import APPROVED
from deployments.models import Deployment, Model
from deployments.scenarios import Scenario

TICKED = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """A model on the nodes: how it fits with this scenario's context, and whether it may be
    tried. `named`: the scenario names it."""

    model: Model
    rooms: list[room.Room]
    named: bool
    may: bool
    ticked: bool

    @property
    def fits(self) -> bool:
        return any(found.verdict is not room.Verdict.NOT for found in self.rooms)


def scenario_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.DEPLOYMENT_VIEW)
    found = scenarios.catalogue()
    context = {
        "scenarios": [(s, s.text(_reader())) for s in found.scenarios.values()],
        "broken": found.broken,
        "folder": settings.SCENARIOS,
    }
    return render(request, "scenarios/list.html", context)


def scenario_detail(request: PageRequest, key: str) -> HttpResponse:
    policy.require(request.actor, Act.DEPLOYMENT_VIEW)
    scenario = _get(key)
    context = context_of(request, scenario, request.GET.get("language", ""), TryForm(scenario))
    return render_page(request, "scenarios/detail.html", context, partial="trial")


def context_of(
    request: PageRequest, scenario: Scenario, language: str, form: TryForm
) -> dict[str, Any]:
    language = language if language in scenarios.LANGUAGES else _reader()
    trial = request.GET.get("trial", "")
    stored = set(Model.objects.filter(stored__isnull=False).values_list("name", flat=True))
    return {
        "scenario": scenario,
        "text": scenario.text(language),
        "language": language,
        "schema": shown_schema(scenario.schema),
        "samples": [(s, s.input(language), _shown(s.fields)) for s in scenario.samples],
        "choices": _choices(scenario, form),
        "suitable": [(each, each.name in stored) for each in scenario.models],
        "helpers": policy.who_can_help(Act.MODEL_APPROVE),
        "deployments": Deployment.objects.present().filter(target__scenario=scenario.key),
        "form": form,
        "own_minutes": int(own_samples.KEPT.total_seconds() // 60),
        **trials.context_of(scenario, language, trial, request.user),
    }


@require_POST
def scenario_try(request: PageRequest, key: str) -> HttpResponse:
    """Ask the samples of the models that were ticked; what was typed is not lost to a mistake."""
    policy.require(request.actor, Act.SCENARIO_TRY)
    scenario = _get(key)
    form = TryForm(scenario, request.POST)
    language = request.POST.get("language", "")
    operation = submit(
        request,
        form,
        lambda values: actions.try_scenario(
            actor=request.actor,
            scenario=key,
            language=language,
            models=list(values["models"]),
            own=form.given(),
        ),
    )
    if operation is None:
        context = context_of(request, scenario, language, form)
        return render(request, "scenarios/detail.html", context, status=422)
    messages.success(request, _("The samples are being asked."))
    return redirect(request, trials.url_of(operation))


def scenario_file(request: PageRequest, key: str) -> HttpResponse:
    """The file itself, to copy and edit."""
    policy.require(request.actor, Act.DEPLOYMENT_VIEW)
    path = _get(key).path()
    return HttpResponse(
        path.read_bytes(),
        content_type="application/toml",
        headers={"Content-Disposition": f'attachment; filename="{path.name}"'},
    )


def _reader() -> str:
    return "zh" if (get_language() or "").startswith("zh") else "en"


def _shown(fields: dict[str, Any]) -> str:
    return orjson.dumps(fields).decode() if fields else ""


def _get(key: str) -> Scenario:
    scenario = scenarios.get(key)
    if scenario is None:
        raise Http404
    return scenario


def _choices(scenario: Scenario, form: TryForm) -> list[Choice]:
    """What the nodes store, smallest first, each with how it fits with this scenario's context."""
    stored = Model.objects.filter(stored__isnull=False).annotate(approved=APPROVED).distinct()
    seen: dict[str, Any] = {}
    for model in stored.order_by("size_bytes", "created_at"):
        seen.setdefault(f"{model.identity} {model.name}", model)
    context = int(scenario.parameters["num_ctx"])
    names = {each.name for each in scenario.models}
    asked = form.asked
    found: list[Choice] = []
    for model in seen.values():
        rooms = room.rooms(model, context)
        may = bool(model.approved or not settings.REQUIRE_MODEL_APPROVAL)
        fits = any(each.verdict is not room.Verdict.NOT for each in rooms)
        by_itself = may and fits and sum(each.ticked for each in found) < TICKED
        ticked = by_itself if asked is None else str(model.pk) in asked
        found.append(Choice(model, rooms, model.name in names, may, ticked))
    return found
