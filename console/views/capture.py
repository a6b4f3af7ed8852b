"""Pages of what is kept of prompts and answers: the register, and a deployment's policy."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from access import policy
from access.models import Proposal, User
from audit.ledger.acts import Act
from audit.office import actions
from audit.office.content.terms import in_force
from audit.office.models import CapturePolicy
from console.content_forms import CaptureForm
from console.htmx import redirect
from console.requests import PageRequest, act, submit
from deployments.models import Deployment

SHOWN = 100
TERMS = ("prompt", "answer", "percent", "days", "purpose", "necessity", "protection")


def capture_list(request: PageRequest) -> HttpResponse:
    """The register: what is kept now, what was, why, and which two people decided it."""
    policy.require(request.actor, Act.CAPTURE_VIEW)
    rows = list(CapturePolicy.objects.all()[:SHOWN])
    now = [row for row in rows if row.ended_at is None]
    context = {
        "now": now,
        "before": [row for row in rows if row.ended_at is not None],
        "people": _people(rows),
        "deployments": Deployment.objects.present()
        .exclude(pk__in=[row.deployment_id for row in now])
        .order_by("name"),
    }
    return render(request, "capture/list.html", context)


def capture_set(request: PageRequest, pk: UUID) -> HttpResponse:
    deployment = policy.get_for(request.actor, Act.CAPTURE_SET, Deployment.objects.present(), pk)
    now = in_force(deployment.pk)
    initial: dict[str, Any] = {name: getattr(now, name) for name in TERMS} if now else {}
    form = CaptureForm(request.POST or None, initial=initial)
    if request.method == "POST":
        asked = submit(request, form, lambda given: _ask(request, deployment, form))
        if asked:
            messages.success(request, _("Asked for. It begins when a second person agrees."))
            return redirect(request, reverse("capture-list"))
    context = {
        "form": form,
        "deployment": deployment,
        "now": now,
        "most": settings.CONTENT_MAX_DAYS,
    }
    return render(request, "capture/form.html", context, status=422 if form.errors else 200)


def _ask(request: PageRequest, deployment: Deployment, form: CaptureForm) -> Proposal:
    return actions.request_capture(
        actor=request.actor,
        deployment_id=deployment.pk,
        deployment_name=deployment.name,
        terms=form.terms(),
        reason=form.cleaned_data["reason"],
    )


def capture_end(request: PageRequest, pk: UUID) -> HttpResponse:
    capture = policy.get_for(request.actor, Act.CAPTURE_END, CapturePolicy.objects.all(), pk)
    if request.method != "POST":
        context = {
            "title": _("Keep nothing more of %(name)s?") % {"name": capture.deployment_name},
            "consequences": [
                _("From now on no prompt and no answer is kept. This needs nobody else."),
                _("What is kept already is destroyed when its period ends."),
            ],
            "verb": _("Keep nothing more"),
            "cancel_url": reverse("capture-list"),
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.end_capture(actor=request.actor, capture=capture),
        done=_("Nothing of %(name)s is kept any more.") % {"name": capture.deployment_name},
        then=reverse("capture-list"),
    )


def _people(rows: list[CapturePolicy]) -> dict[UUID, User]:
    ids = {row.proposer_id for row in rows} | {row.approver_id for row in rows if row.approver_id}
    return User.objects.in_bulk(list(ids))
