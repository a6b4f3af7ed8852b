"""Pages that change what a deployment should be: new revision, comparison, rollback, placement."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from audit.ledger.acts import Act
from console.fleet_forms import ChangeForm, PlaceForm, VersionForm, valid
from console.htmx import redirect
from console.requests import PageRequest, act, submit
from deployments import actions
from deployments.models import Deployment, Revision
from deployments.revising import compare


def deployment_change(request: PageRequest, pk: UUID) -> HttpResponse:
    deployment = _get(request, Act.DEPLOYMENT_CHANGE, pk)
    revision = deployment.target
    initial = ChangeForm.values_of(deployment, revision) if revision else {}
    form = ChangeForm(request.POST or None, initial=initial)
    if request.method == "POST":
        made = submit(
            request,
            form,
            lambda v: actions.change(
                actor=request.actor,
                deployment=deployment,
                version=v["version"],
                note=v["note"],
                **form.recipe(),
            ),
        )
        if made:
            messages.success(request, _("Revision %(n)d is wanted now.") % {"n": made.number})
            return redirect(request, reverse("deployment-detail", args=[pk]))
    context = {"form": form, "deployment": deployment, "revision": revision}
    return render(request, "deployments/change.html", context, status=422 if form.errors else 200)


def deployment_place(request: PageRequest, pk: UUID) -> HttpResponse:
    deployment = _get(request, Act.DEPLOYMENT_PLACE, pk)
    initial = {**PlaceForm.values_of(deployment), "version": deployment.version}
    form = PlaceForm(request.POST or None, initial=initial)
    if request.method == "POST":
        placed = submit(
            request,
            form,
            lambda v: actions.place(
                actor=request.actor,
                deployment=deployment,
                version=v["version"],
                placement=form.placement(),
                fit_reason=v["fit_reason"],
            ),
        )
        if placed:
            messages.success(request, _("%(name)s is brought there now.") % {"name": deployment})
            return redirect(request, reverse("deployment-detail", args=[pk]))
    context = {"form": form, "deployment": deployment}
    return render(request, "deployments/place.html", context, status=422 if form.errors else 200)


@require_POST
def deployment_rollback(request: PageRequest, pk: UUID) -> HttpResponse:
    deployment = _get(request, Act.DEPLOYMENT_ROLLBACK, pk)
    form = VersionForm(request.POST)
    return act(
        request,
        lambda: actions.rollback(
            actor=request.actor, deployment=deployment, version=valid(form, "version")
        ),
        done=_("%(name)s goes back to the earlier revision.") % {"name": deployment},
        then=reverse("deployment-detail", args=[pk]),
    )


@require_POST
def deployment_restore(request: PageRequest, pk: UUID) -> HttpResponse:
    deployment = _get(request, Act.DEPLOYMENT_RESTORE, pk)
    return act(
        request,
        lambda: actions.restore(actor=request.actor, deployment=deployment),
        done=_("%(name)s is made anew where it was changed.") % {"name": deployment},
        then=reverse("deployment-detail", args=[pk]),
    )


def deployment_compare(request: PageRequest, pk: UUID) -> HttpResponse:
    """Two revisions line by line: `?old=1&new=2`, else the newest and the one before."""
    deployment = policy.get_for(
        request.actor, Act.DEPLOYMENT_VIEW, Deployment.objects.present(), pk
    )
    revisions = list(deployment.revisions.select_related("model", "created_by"))
    new = _chosen(revisions, request.GET.get("new", ""), 0)
    old = _chosen(revisions, request.GET.get("old", ""), 1)
    context = {
        "deployment": deployment,
        "revisions": revisions,
        "old": old,
        "new": new,
        "lines": compare(old, new) if old and new else [],
    }
    return render(request, "deployments/compare.html", context)


def _chosen(revisions: list[Revision], number: str, otherwise: int) -> Revision | None:
    by_number = {str(r.number): r for r in revisions}
    return by_number.get(number) or next(iter(revisions[otherwise:] or revisions), None)


def _get(request: PageRequest, asked: Act, pk: UUID) -> Deployment:
    rows = Deployment.objects.present().select_related("target__model", "current__model")
    return policy.get_for(request.actor, asked, rows, pk)
