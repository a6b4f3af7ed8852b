"""The first page after sign-in: what matters to each role."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from access.models import Grant, Key, Proposal, Team, User
from access.roles import Role
from audit.ledger.acts import Act
from audit.office import history, standing, weeks
from audit.office.alarming import watch
from audit.office.alarming.rules import visible_to
from audit.office.models import Alarm, Case, Hold
from console.requests import PageRequest
from console.views.alarms import LATE, lines
from deployments.models import Deployment, Node, Operation
from deployments.wishes import Wanted

UNGRANTED_SHOWN = 20
TEAMS_SHOWN = 200

SHOWN = 5
# What left the log, and what was read in it.
TAKEN = (Act.AUDIT_EXPORT, Act.AUDIT_FETCH_EXPORT)
READ = (Act.AUDIT_SEARCH, Act.AUDIT_VIEW, Act.CONTENT_LIST, Act.CONTENT_VIEW)


def home(request: PageRequest) -> HttpResponse:
    role = request.user.role
    if role == Role.SYSTEM:
        return render(request, "home/system.html", _system())
    if role == Role.SECURITY:
        return render(request, "home/security.html", _security())
    if role == Role.AUDIT:
        return render(request, "home/audit.html", _audit(request))
    return redirect("chat-list")


def _system() -> dict[str, object]:
    granted = Grant.objects.values("deployment_id")
    ungranted = Deployment.objects.live().exclude(pk__in=granted)
    return {
        "ungranted": set(ungranted.values_list("pk", flat=True)),
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
        "ungranted": Deployment.objects.present()
        .exclude(pk__in=granted)
        .exclude(wanted=Wanted.GONE)
        .select_related("created_by")
        .order_by("-created_at")[:UNGRANTED_SHOWN],
        "teams": Team.objects.order_by("name")[:TEAMS_SHOWN],
        "without_team": User.objects.people().filter(role=Role.MEMBER, is_active=True, teams=None),
        "expiring": Key.objects.valid().exclude(expires_at=None).order_by("expires_at")[:5],
    }


def _audit(request: PageRequest) -> dict[str, object]:
    """One look: is the log whole, who has witnessed it, what waits, what is unusual, what was
    taken out of it."""
    alarms = Alarm.objects.open().waiting().filter(rule__in=visible_to(Role.AUDIT))
    looked_at = watch.looked_at()
    return {
        "now": standing.now(),
        "proposals": Proposal.objects.for_decision_by(request.user.pk, request.user.role)[:SHOWN],
        "ending": Proposal.objects.waiting().filter(act=Act.AUDIT_RELEASE_HOLD)[:SHOWN],
        "holds": Hold.objects.filter(released_at=None).count(),
        "alarms": lines(list(alarms[:SHOWN])),
        "looked_at": looked_at,
        "late": looked_at is None or timezone.now() - looked_at > LATE,
        "weeks": weeks.now(),
        "taken": history.newest(TAKEN, SHOWN),
        "read": history.newest(READ, SHOWN),
        "cases": Case.objects.filter(state="open")[:SHOWN],
    }
