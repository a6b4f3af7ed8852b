"""Pages of nodes and of the fleet. No page asks a node: it shows what the node said last."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from audit.ledger.acts import Act
from audit.office import history
from console.fleet_forms import NodeForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from deployments import actions, alarming, attest
from deployments.models import (
    UNDER_WAY,
    Deployment,
    Node,
    NodeCheck,
    NodeStatus,
    Operation,
    Replica,
    ReplicaState,
    Revision,
)
from deployments.observed import in_flight

CHECKS_SHOWN = 120
RECENT = timedelta(minutes=5)


def fleet(request: PageRequest) -> HttpResponse:
    """What runs where, how full, how well."""
    policy.require(request.actor, Act.NODE_VIEW)
    replicas = (
        Replica.objects.exclude(state=ReplicaState.STOPPED)
        .select_related("revision__deployment")
        .order_by("revision__deployment__name", "revision__number")
    )
    nodes = list(Node.objects.prefetch_related(Prefetch("replicas", queryset=replicas)))
    rows = _rows(nodes)
    context = {
        "rows": rows,
        "sums": _sums(rows),
        "alarms": alarming.open_about(nodes),
        "troubled": Deployment.objects.present().exclude(problem="", setback=""),
    }
    return render_page(request, "nodes/fleet.html", context, partial="fleet-table")


@dataclass(frozen=True, slots=True)
class Row:
    """A node of the overview: whether it is closed, its last checks, requests under way."""

    node: Node
    closed: bool | None
    checks: list[NodeCheck]
    busy: int


def _rows(nodes: list[Node]) -> list[Row]:
    checks: dict[UUID, list[NodeCheck]] = defaultdict(list)
    for check in NodeCheck.objects.filter(at__gt=timezone.now() - RECENT).order_by("at"):
        checks[check.node_id].append(check)
    busy = in_flight()
    return [
        Row(
            node,
            attest.is_closed(node),
            checks[node.pk],
            sum(busy[str(replica.pk)] for replica in node.replicas.all()),
        )
        for node in nodes
    ]


def _sums(rows: list[Row]) -> dict[str, int]:
    known = [row.node for row in rows if row.node.capacity_bytes]
    replicas = [replica for row in rows for replica in row.node.replicas.all()]
    return {
        "nodes": len(rows),
        "online": sum(row.node.status == NodeStatus.ONLINE for row in rows),
        "replicas": len(replicas),
        "ready": sum(replica.state == ReplicaState.READY for replica in replicas),
        "memory": sum(node.memory_bytes for node in known),
        "capacity": sum(node.capacity_bytes or 0 for node in known),
        "busy": sum(row.busy for row in rows),
        "operations": Operation.objects.filter(state__in=UNDER_WAY).count(),
    }


def node_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.NODE_VIEW)
    nodes = Node.objects.prefetch_related("stored__model")
    return render_page(request, "nodes/list.html", {"nodes": nodes}, partial="node-table")


def node_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    node = policy.get_for(request.actor, Act.NODE_VIEW, Node.objects.all(), pk)
    replicas = node.replicas.select_related("revision__deployment").order_by(
        "revision__deployment__name", "revision__number"
    )
    ours = {replica.revision.tag for replica in replicas}
    context = {
        "node": node,
        "alarms": alarming.open_about([node]),
        "closed": attest.is_closed(node),
        "keeps_none": attest.keeps_no_requests(node),
        "checks": list(node.checks.all()[:CHECKS_SHOWN])[::-1],
        "stored": node.stored.select_related("model"),
        "used": set(Revision.objects.values_list("model_id", flat=True)),
        "unmanaged": sorted(set(node.tags) - ours),
        "replicas": replicas,
        "operations": node.operations.all()[:10],
        "history": partial(history.of, "node", str(pk)),
    }
    return render_page(request, "nodes/detail.html", context, partial="node-state")


def node_register(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.NODE_REGISTER)
    form = NodeForm(request.POST or None)
    if request.method == "POST":
        node = submit(
            request,
            form,
            lambda _v: actions.register_node(
                actor=request.actor, **form.verb_arguments(again=False)
            ),
        )
        if node:
            messages.success(request, _("%(node)s is added.") % {"node": node})
            return redirect(request, reverse("node-detail", args=[node.pk]))
    return render(
        request, "nodes/form.html", {"form": form, "node": None}, status=422 if form.errors else 200
    )


def node_update(request: PageRequest, pk: UUID) -> HttpResponse:
    node = policy.get_for(request.actor, Act.NODE_UPDATE, Node.objects.all(), pk)
    form = NodeForm(request.POST or None, initial=NodeForm.values_of(node))
    if request.method == "POST":
        changed = submit(
            request,
            form,
            lambda _v: actions.update_node(
                actor=request.actor, node=node, **form.verb_arguments(again=True)
            ),
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


@require_POST
def node_cordon(request: PageRequest, pk: UUID) -> HttpResponse:
    node = policy.get_for(request.actor, Act.NODE_CORDON, Node.objects.all(), pk)
    return act(
        request,
        lambda: actions.cordon(actor=request.actor, node=node),
        done=_("%(node)s takes no new replicas.") % {"node": node},
        then=reverse("node-detail", args=[pk]),
    )


@require_POST
def node_uncordon(request: PageRequest, pk: UUID) -> HttpResponse:
    node = policy.get_for(request.actor, Act.NODE_UNCORDON, Node.objects.all(), pk)
    return act(
        request,
        lambda: actions.uncordon(actor=request.actor, node=node),
        done=_("%(node)s takes replicas again.") % {"node": node},
        then=reverse("node-detail", args=[pk]),
    )


def node_drain(request: PageRequest, pk: UUID) -> HttpResponse:
    node = policy.get_for(request.actor, Act.NODE_DRAIN, Node.objects.all(), pk)
    back = reverse("node-detail", args=[pk])
    if request.method != "POST":
        context = {
            "title": _("Drain the node %(node)s?") % {"node": node},
            "consequences": [
                _("Its replicas are made elsewhere first; then nothing new comes to it."),
                _("What is under way is answered. Where there is no elsewhere, it serves on."),
            ],
            "verb": _("Drain"),
            "cancel_url": back,
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.drain(actor=request.actor, node=node),
        done=_("%(node)s is being drained.") % {"node": node},
        then=back,
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
