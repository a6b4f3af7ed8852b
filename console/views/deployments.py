"""Pages of deployments: list, new, detail, start, stop, delete, playground."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from access.models import Grant
from audit.ledger.acts import Act
from audit.office import history
from audit.office.content.terms import in_force
from console.fleet_forms import DeploymentForm
from console.forms import GrantForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from console.views.operations import progress
from deployments import actions, scenarios
from deployments.models import (
    Deployment,
    Evaluation,
    Replica,
    ReplicaState,
    Revision,
    StoredModel,
)
from deployments.wishes import show_timetable

REVISIONS_SHOWN = 30
# What the address may fill in: the wizard and the pages of nodes lead here.
EVALUATIONS_SHOWN = 5
PREFILLED = ("model", "node", "trial")


def deployment_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.DEPLOYMENT_VIEW)
    deployments = (
        Deployment.objects.present()
        .select_related("target__model", "current")
        .prefetch_related(
            Prefetch("revisions__replicas", queryset=Replica.objects.select_related("node"))
        )
    )
    return render_page(
        request, "deployments/list.html", {"deployments": deployments}, partial="deployment-table"
    )


def deployment_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    deployment = policy.get_for(
        request.actor,
        Act.DEPLOYMENT_VIEW,
        Deployment.objects.select_related("target__model", "current", "previous", "created_by"),
        pk,
    )
    operation = deployment.operations.order_by("-created_at").first()
    revision = deployment.current or deployment.target
    replicas = Replica.objects.filter(revision__deployment=deployment).select_related(
        "node", "revision__deployment"
    )
    context = {
        "deployment": deployment,
        "revision": revision,
        "replicas": list(replicas.order_by("-revision__number", "node__name")),
        "changed": any(r.state == ReplicaState.FOREIGN for r in replicas),
        "revisions": deployment.revisions.select_related("model", "created_by")[:REVISIONS_SHOWN],
        "timetable": show_timetable(deployment.timetable),
        "places": deployment.nodes.all(),
        "operation": operation,
        "progress": progress(operation) if operation else None,
        "chosen_by": evaluations_of(revision) if revision else [],
        "granted": Grant.objects.filter(deployment_id=pk).exists(),
        "grantors": policy.who_can_help(Act.GRANT_CREATE),
        "grants": Grant.objects.filter(deployment_id=pk).select_related("team", "user"),
        "grant_form": GrantForm(),
        "capture": in_force(pk),
        "public_url": settings.FUSEBOX_PUBLIC_URL,
        "history": partial(history.of, "deployment", str(pk)),
    }
    return render_page(request, "deployments/detail.html", context, partial="deployment-state")


def evaluations_of(revision: Revision) -> list[Evaluation]:
    """What the revision was chosen by."""
    return list(revision.evaluations.select_related("operation")[:EVALUATIONS_SHOWN])


def deployment_create(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.DEPLOYMENT_CREATE)
    scenario = scenarios.get(request.GET.get("scenario", ""))
    language = request.GET.get("language", "")
    initial = DeploymentForm.begun_with(scenario, language) if scenario else {}
    initial |= {name: request.GET[name] for name in PREFILLED if name in request.GET}
    form = DeploymentForm(request.POST or None, initial=initial)
    if request.method == "POST":
        deployment = submit(request, form, lambda v: _create(request, form))
        if deployment:
            messages.success(request, _("%(name)s is being switched on.") % {"name": deployment})
            return redirect(request, reverse("deployment-detail", args=[deployment.pk]))
    stored = StoredModel.objects.select_related("node", "model")
    context = {"form": form, "stored": stored, "places": _places(stored), "scenario": scenario}
    return render(request, "deployments/form.html", context, status=422 if form.errors else 200)


def _places(stored: QuerySet[StoredModel]) -> dict[str, list[str]]:
    """Model -> the nodes that store its weights, under whatever digest."""
    on: dict[str, set[str]] = {}
    models = {copy.model for copy in stored}
    for copy in stored:
        on.setdefault(copy.model.identity, set()).add(str(copy.node_id))
    return {str(model.pk): sorted(on[model.identity]) for model in models}


def _create(request: PageRequest, form: DeploymentForm) -> Deployment:
    values = form.cleaned_data
    return actions.create_deployment(
        actor=request.actor,
        name=values["name"],
        description=values["description"],
        placement=form.placement(),
        trial=values["trial"],
        **form.recipe(),
    )


@require_POST
def deployment_start(request: PageRequest, pk: UUID) -> HttpResponse:
    deployment = _get(request, Act.DEPLOYMENT_START, pk)
    return act(
        request,
        lambda: actions.start(actor=request.actor, deployment=deployment),
        done=_("%(name)s is being switched on.") % {"name": deployment},
        then=reverse("deployment-detail", args=[pk]),
    )


def deployment_stop(request: PageRequest, pk: UUID) -> HttpResponse:
    deployment = _get(request, Act.DEPLOYMENT_STOP, pk)
    back = reverse("deployment-detail", args=[pk])
    if request.method != "POST":
        context = {
            "title": _("Stop %(name)s?") % {"name": deployment},
            "consequences": [
                _("New requests are refused at once; those under way are answered."),
                _("It can be started again at any time."),
            ],
            "verb": _("Stop"),
            "cancel_url": back,
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.stop(actor=request.actor, deployment=deployment),
        done=_("%(name)s is being stopped.") % {"name": deployment},
        then=back,
    )


def deployment_delete(request: PageRequest, pk: UUID) -> HttpResponse:
    deployment = _get(request, Act.DEPLOYMENT_DELETE, pk)
    if request.method != "POST":
        grants = Grant.objects.filter(deployment_id=pk).count()
        context = {
            "title": _("Delete %(name)s?") % {"name": deployment},
            "consequences": [
                _("New requests are refused at once; those under way are answered."),
                _("Grants that are taken back: %(count)d.") % {"count": grants},
                _("The model itself stays on the node; the history stays in the audit log."),
            ],
            "verb": _("Delete"),
            "cancel_url": reverse("deployment-detail", args=[pk]),
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.delete(actor=request.actor, deployment=deployment),
        done=_("%(name)s is being deleted.") % {"name": deployment},
        then=reverse("deployment-list"),
    )


def deployment_try(request: PageRequest, pk: UUID) -> HttpResponse:
    """The playground: the same gateway and the same events as any request."""
    deployment = _get(request, Act.DEPLOYMENT_TRY, pk)
    context = {
        "deployment": deployment,
        "public_url": settings.FUSEBOX_PUBLIC_URL,
        "kept": in_force(deployment.pk),
    }
    return render(request, "deployments/playground.html", context)


def _get(request: PageRequest, asked: Act, pk: UUID) -> Deployment:
    rows = Deployment.objects.present().select_related("target__model")
    return policy.get_for(request.actor, asked, rows, pk)
