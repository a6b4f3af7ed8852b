"""Pages of nodes. No page asks a node: it shows what the node said last."""

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
from console.forms import NodeForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from deployments import actions
from deployments.models import Deployment, Node


def node_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.NODE_VIEW)
    nodes = Node.objects.prefetch_related("stored__model")
    return render_page(request, "nodes/list.html", {"nodes": nodes}, partial="node-table")


def node_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    node = policy.get_for(request.actor, Act.NODE_VIEW, Node.objects.all(), pk)
    context = {
        "node": node,
        "stored": node.stored.select_related("model"),
        "deployments": Deployment.objects.present()
        .filter(revisions__replicas__node=node)
        .distinct(),
        "operations": node.operations.all()[:10],
    }
    return render_page(request, "nodes/detail.html", context, partial="node-state")


def node_register(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.NODE_REGISTER)
    form = NodeForm(request.POST or None)
    if request.method == "POST":
        node = submit(request, form, lambda v: actions.register_node(actor=request.actor, **v))
        if node:
            messages.success(request, _("%(node)s is added.") % {"node": node})
            return redirect(request, reverse("node-detail", args=[node.pk]))
    return render(
        request, "nodes/form.html", {"form": form, "node": None}, status=422 if form.errors else 200
    )


def node_update(request: PageRequest, pk: UUID) -> HttpResponse:
    node = policy.get_for(request.actor, Act.NODE_UPDATE, Node.objects.all(), pk)
    form = NodeForm(request.POST or None, initial={"name": node.name, "url": node.url})
    if request.method == "POST":
        changed = submit(
            request, form, lambda v: actions.update_node(actor=request.actor, node=node, **v)
        )
        if changed:
            messages.success(request, _("%(node)s is changed.") % {"node": changed})
            return redirect(request, reverse("node-detail", args=[node.pk]))
    return render(
        request, "nodes/form.html", {"form": form, "node": node}, status=422 if form.errors else 200
    )


@require_POST
def node_refresh(request: PageRequest, pk: UUID) -> HttpResponse:
    node = policy.get_for(request.actor, Act.NODE_REFRESH, Node.objects.all(), pk)
    return act(
        request,
        lambda: actions.refresh_node(actor=request.actor, node=node),
        done=_("%(node)s was asked.") % {"node": node},
        then=reverse("node-detail", args=[pk]),
    )


def node_remove(request: PageRequest, pk: UUID) -> HttpResponse:
    node = policy.get_for(request.actor, Act.NODE_REMOVE, Node.objects.all(), pk)
    if request.method != "POST":
        context = {
            "title": _("Remove the node %(node)s?") % {"node": node},
            "consequences": [
                _("It disappears from the list and is no longer watched."),
                _("Nothing on the machine itself is touched: its models stay."),
            ],
            "verb": _("Remove"),
            "cancel_url": reverse("node-detail", args=[pk]),
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.remove_node(actor=request.actor, node=node),
        done=_("%(node)s is removed.") % {"node": node},
        then=reverse("node-list"),
    )
