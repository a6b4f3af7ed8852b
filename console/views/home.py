"""The first page after sign-in: what matters to each role."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render

from access.models import Grant, Key, Team, User
from access.roles import Role
from console.requests import PageRequest
from deployments.models import Deployment, Node, Operation


def home(request: PageRequest) -> HttpResponse:
    role = request.user.role
    if role == Role.SYSTEM:
        return render(request, "home/system.html", _system())
    if role == Role.SECURITY:
        return render(request, "home/security.html", _security())
    if role == Role.AUDIT:
        return redirect("event-list")
    return redirect("chat-list")


def _system() -> dict[str, object]:
    return {
        "nodes": Node.objects.all(),
        "deployments": Deployment.objects.present().select_related("target__model"),
        "operations": Operation.objects.select_related("node", "deployment")[:8],
    }


def _security() -> dict[str, object]:
    granted = Grant.objects.values("deployment_id")
    return {
        "people_count": User.objects.people().filter(is_active=True).count(),
        "team_count": Team.objects.count(),
        "key_count": Key.objects.valid().count(),
        "ungranted": Deployment.objects.live().exclude(pk__in=granted),
        "without_team": User.objects.people().filter(role=Role.MEMBER, is_active=True, teams=None),
        "expiring": Key.objects.valid().exclude(expires_at=None).order_by("expires_at")[:5],
    }
