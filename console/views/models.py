"""Pages of models: the catalogue, pulling to a node, deleting from one."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from access import policy
from audit.ledger.acts import Act
from console.forms import PullForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from deployments import actions
from deployments.models import Deployment, Model, StoredModel


def model_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.MODEL_VIEW)
    models = Model.objects.prefetch_related("stored__node")
    return render_page(request, "models/list.html", {"models": models}, partial="model-table")


def model_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    model = policy.get_for(request.actor, Act.MODEL_VIEW, Model.objects.all(), pk)
    context = {
        "model": model,
        "stored": model.stored.select_related("node"),
        "deployments": Deployment.objects.present().filter(revisions__model=model).distinct(),
    }
    return render(request, "models/detail.html", context)


def model_pull(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.MODEL_PULL)
    form = PullForm(request.POST or None, initial={"node": request.GET.get("node")})
    if request.method == "POST":
        operation = submit(request, form, lambda v: actions.pull_model(actor=request.actor, **v))
        if operation:
            messages.success(request, _("The pull has begun."))
            return redirect(request, reverse("operation-detail", args=[operation.pk]))
    return render(request, "models/pull.html", {"form": form}, status=422 if form.errors else 200)


def model_delete(request: PageRequest, pk: int) -> HttpResponse:
    """Delete one stored copy: a model from one node."""
    stored = policy.get_for(
        request.actor, Act.MODEL_DELETE, StoredModel.objects.select_related("node", "model"), pk
    )
    back = reverse("model-detail", args=[stored.model_id])
    if request.method != "POST":
        context = {
            "title": _("Delete %(tag)s from %(node)s?") % {"tag": stored.tag, "node": stored.node},
            "consequences": [
                _("The node frees its disk; using the model again means pulling it again.")
            ],
            "verb": _("Delete"),
            "cancel_url": back,
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.delete_model(actor=request.actor, stored=stored),
        done=_("%(tag)s is deleted from %(node)s.") % {"tag": stored.tag, "node": stored.node},
        then=reverse("model-list"),
    )
