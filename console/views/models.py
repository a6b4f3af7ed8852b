"""Pages of models: the catalogue, pulling to a node, deleting from one."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from audit.ledger.acts import Act
from audit.office import history
from console.forms import CopyForm, FitForm, PullForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from deployments import actions, room
from deployments.approvals import APPROVED
from deployments.models import Approval, Deployment, DeploymentQuerySet, Model, Node, StoredModel
from deployments.recipes import DEFAULT_NUM_CTX


def model_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.MODEL_VIEW)
    models = Model.objects.annotate(approved=APPROVED).prefetch_related("stored__node")
    context = {"models": models, "policy": settings.REQUIRE_MODEL_APPROVAL}
    return render_page(request, "models/list.html", context, partial="model-table")


def model_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    model = policy.get_for(request.actor, Act.MODEL_VIEW, Model.objects.all(), pk)
    context = {
        "model": model,
        "stored": model.stored.select_related("node"),
        "deployments": made_of(model),
        "approval": Approval.objects.filter(digest=model.digest).first(),
        "policy": settings.REQUIRE_MODEL_APPROVAL,
        "fit_form": FitForm(initial={"num_ctx": DEFAULT_NUM_CTX}),
        "history": partial(history.of, "model", model.digest),
    }
    return render(request, "models/detail.html", context)


def model_fit(request: PageRequest) -> HttpResponse:
    """A part of pages: what the chosen model needs with the chosen context, node by node."""
    policy.require(request.actor, Act.MODEL_VIEW)
    form = FitForm(request.GET)
    if not form.is_valid():
        return render(request, "models/_fit.html", {"rooms": [], "form": form})
    model = policy.get_for(
        request.actor, Act.MODEL_VIEW, Model.objects.all(), form.cleaned_data["model"]
    )
    context = form.cleaned_data["num_ctx"] or DEFAULT_NUM_CTX
    found = room.rooms(model, context)
    nowhere = bool(found) and all(each.verdict is room.Verdict.NOT for each in found)
    shown = {"model": model, "rooms": found, "form": form, "fits_nowhere": nowhere}
    return render(request, "models/_fit.html", shown)


@require_POST
def model_approve(request: PageRequest, pk: UUID) -> HttpResponse:
    model = policy.get_for(request.actor, Act.MODEL_APPROVE, Model.objects.all(), pk)
    accepted = request.POST.get("accept_licence") == "on"
    return act(
        request,
        lambda: actions.approve_model(actor=request.actor, model=model, accept_licence=accepted),
        done=_("%(model)s may be deployed now.") % {"model": model},
        then=reverse("model-detail", args=[pk]),
    )


def model_revoke_approval(request: PageRequest, pk: UUID) -> HttpResponse:
    model = policy.get_for(request.actor, Act.MODEL_REVOKE_APPROVAL, Model.objects.all(), pk)
    back = reverse("model-detail", args=[pk])
    if request.method != "POST":
        lines = [_("It cannot be deployed or started any more.")]
        lines += [
            _("%(name)s goes on until it is stopped.") % {"name": deployment}
            for deployment in made_of(model).live()
        ]
        context = {
            "title": _("Take back the approval of %(model)s?") % {"model": model},
            "consequences": lines,
            "verb": _("Take back"),
            "cancel_url": back,
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.revoke_approval(actor=request.actor, model=model),
        done=_("The approval of %(model)s is taken back.") % {"model": model},
        then=back,
    )


def broken_by_deleting(stored: StoredModel) -> list[str]:
    """What whoever deletes this copy should know first."""
    lines = [_("The node frees its disk; using the model again means pulling it again.")]
    here = made_of(stored.model).filter(revisions__replicas__node=stored.node)
    lines += [
        _("%(name)s is made of it and on this node: delete that first.") % {"name": deployment}
        for deployment in here[:10]
    ]
    if not stored.model.stored.exclude(pk=stored.pk).exists():
        lines.append(_("It is the last copy: no other node has this model."))
    return lines


def made_of(model: Model) -> DeploymentQuerySet:
    return Deployment.objects.present().filter(revisions__model=model).distinct()


def model_pull(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.MODEL_PULL)
    form = PullForm(
        request.POST or None, initial={name: request.GET.get(name) for name in ("node", "name")}
    )
    if request.method == "POST":
        operation = submit(request, form, lambda v: actions.pull_model(actor=request.actor, **v))
        if operation:
            messages.success(request, _("The pull has begun."))
            return redirect(request, reverse("operation-detail", args=[operation.pk]))
    return render(request, "models/pull.html", {"form": form}, status=422 if form.errors else 200)


def model_copy(request: PageRequest, pk: int) -> HttpResponse:
    """Copy one stored copy to another node."""
    stored = policy.get_for(
        request.actor, Act.MODEL_COPY, StoredModel.objects.select_related("node", "model"), pk
    )
    form = CopyForm(request.POST or None)
    form.offer(Node.objects.exclude(stored__model=stored.model_id))
    if request.method == "POST":
        operation = submit(
            request,
            form,
            lambda v: actions.copy_model(actor=request.actor, stored=stored, node=v["node"]),
        )
        if operation:
            messages.success(request, _("The copy has begun."))
            return redirect(request, reverse("operation-detail", args=[operation.pk]))
    context = {"form": form, "stored": stored}
    return render(request, "models/copy.html", context, status=422 if form.errors else 200)


def model_delete(request: PageRequest, pk: int) -> HttpResponse:
    """Delete one stored copy: a model from one node."""
    stored = policy.get_for(
        request.actor, Act.MODEL_DELETE, StoredModel.objects.select_related("node", "model"), pk
    )
    back = reverse("model-detail", args=[stored.model_id])
    if request.method != "POST":
        context = {
            "title": _("Delete %(tag)s from %(node)s?") % {"tag": stored.tag, "node": stored.node},
            "consequences": broken_by_deleting(stored),
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
