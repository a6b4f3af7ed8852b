"""Pages of scenarios: choose a job, see what it asks for and what fits, begin with it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from audit.ledger.acts import Act
from console.fleet_forms import shown_schema
from console.htmx import render_page
from console.requests import PageRequest, act
from deployments import actions, room, scenarios, trials
from deployments.approvals import APPROVED
from deployments.models import Deployment, Model, Operation, OperationKind
from deployments.scenarios import Scenario


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
    language = request.GET.get("language", "")
    language = language if language in scenarios.LANGUAGES else _reader()
    context = {
        "scenario": scenario,
        "text": scenario.text(language),
        "language": language,
        "schema": shown_schema(scenario.schema),
        "samples": [(s, s.input(language), _shown(s.fields)) for s in scenario.samples],
        "models": _models(scenario),
        "deployments": Deployment.objects.present().filter(target__scenario=key),
        "policy": settings.REQUIRE_MODEL_APPROVAL,
    }
    context |= _trial(key, language)
    return render_page(request, "scenarios/detail.html", context, partial="trial")


@require_POST
def scenario_try(request: PageRequest, key: str) -> HttpResponse:
    """Ask the samples of the models that were ticked."""
    policy.require(request.actor, Act.SCENARIO_TRY)
    language = request.POST.get("language", "")
    chosen = [pk for pk in request.POST.getlist("models") if _is_uuid(pk)]
    models = list(Model.objects.filter(pk__in=chosen[:100]))
    return act(
        request,
        lambda: actions.try_scenario(
            actor=request.actor, scenario=key, language=language, models=models
        ),
        done=_("The samples are being asked."),
        then=f"{reverse('scenario-detail', args=[key])}?language={language}#trial",
    )


def scenario_file(request: PageRequest, key: str) -> HttpResponse:
    """The file itself, to copy and edit."""
    policy.require(request.actor, Act.DEPLOYMENT_VIEW)
    path = _get(key).path()
    return HttpResponse(
        path.read_bytes(),
        content_type="application/toml",
        headers={"Content-Disposition": f'attachment; filename="{path.name}"'},
    )


def _trial(key: str, language: str) -> dict[str, Any]:
    """The last trial of the scenario in this language, and what it found."""
    rows = Operation.objects.filter(
        kind=OperationKind.TRY, subject=key, arguments__language=language
    )
    trial = rows.order_by("-created_at").first()
    found = trials.tried(trial.result) if trial else []
    return {"trial": trial, "tried": found, "proposal": trials.proposal(found)}


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _reader() -> str:
    return "zh" if (get_language() or "").startswith("zh") else "en"


def _shown(fields: dict[str, Any]) -> str:
    return orjson.dumps(fields).decode() if fields else ""


def _get(key: str) -> Scenario:
    scenario = scenarios.get(key)
    if scenario is None:
        raise Http404
    return scenario


def _models(scenario: Scenario) -> list[tuple[Model, list[room.Room]]]:
    """What the nodes store, smallest first, each with how it fits with this scenario's context."""
    stored = Model.objects.filter(stored__isnull=False).annotate(approved=APPROVED).distinct()
    seen: dict[str, Model] = {}
    for model in stored.order_by("size_bytes", "created_at"):
        seen.setdefault(f"{model.identity} {model.name}", model)
    context = int(scenario.parameters["num_ctx"])
    return [(model, room.rooms(model, context)) for model in seen.values()]
