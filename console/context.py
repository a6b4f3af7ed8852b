"""The menu: what each role can open, from the same table as the verbs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from access.models import Proposal, User
from access.policy import role_allows
from access.roles import ADMINISTRATORS, Role
from audit.ledger.acts import Act
from audit.office import standing, witnessing
from audit.office.alarming import watch
from audit.office.alarming.rules import visible_to


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the menu."""

    title: str | Promise
    icon: str
    url: str
    current: bool
    waiting: int = 0
    name: str = ""


MENU: tuple[tuple[str, str | Promise, str, Act], ...] = (
    ("scenario-list", _("Scenarios"), "list", Act.DEPLOYMENT_VIEW),
    ("fleet", _("Fleet"), "cpu", Act.NODE_VIEW),
    ("node-list", _("Nodes"), "server", Act.NODE_VIEW),
    ("model-list", _("Models"), "box", Act.MODEL_VIEW),
    ("deployment-list", _("Deployments"), "rocket", Act.DEPLOYMENT_VIEW),
    ("operation-list", _("Operations"), "activity", Act.OPERATION_VIEW),
    ("user-list", _("People"), "users", Act.USER_VIEW),
    ("team-list", _("Teams"), "users-group", Act.TEAM_VIEW),
    ("key-list", _("Keys"), "key", Act.KEY_VIEW),
    ("proposal-list", _("Proposals"), "users-group", Act.PROPOSAL_VIEW),
    ("alarm-list", _("Alarms"), "alert-triangle", Act.ALARM_VIEW),
    ("event-list", _("Events"), "history", Act.AUDIT_SEARCH),
    ("case-list", _("Cases"), "book", Act.CASE_VIEW),
    ("log-detail", _("The log"), "shield-lock", Act.AUDIT_VERIFY),
    ("evidence-list", _("Evidence"), "file-text", Act.AUDIT_MAKE_EVIDENCE),
    ("capture-list", _("Captured content"), "lock", Act.CAPTURE_VIEW),
    ("retention-detail", _("Retention"), "clock", Act.AUDIT_VIEW_RETENTION),
    ("hold-list", _("Holds"), "lock", Act.AUDIT_VIEW_RETENTION),
    ("chat-list", _("Chat"), "message-circle", Act.DEPLOYMENT_USE),
    ("task-list", _("Tasks"), "file-text", Act.DEPLOYMENT_USE),
)
WITH_OVERVIEW = (Role.SYSTEM, Role.SECURITY, Role.AUDIT)


def navigation(request: HttpRequest) -> dict[str, Any]:
    """`menu` for the signed-in reader; empty for nobody and on pages shown before sign-in."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return {"menu": []}
    items = []
    if user.role in WITH_OVERVIEW:
        items.append(Item(_("Overview"), "home", reverse("home"), request.path == reverse("home")))
    for name, title, icon, act in MENU:
        if role_allows(user.role, act):
            url = reverse(name)
            current = request.path.startswith(url)
            items.append(Item(title, icon, url, current, _waiting(user, act), name))
    told = user.role in ADMINISTRATORS and standing.rollback() is not None
    context = {"menu": items, "rollback": told}
    if user.role in ADMINISTRATORS:
        context |= {"alarmed_witnesses": list(witnessing.alarmed())}
    if role_allows(user.role, Act.ALARM_VIEW):
        context["alarm_count"] = watch.waiting_for(visible_to(user.role))
        context["now"] = timezone.now().isoformat()
    return context


def _waiting(user: User, act: Act) -> int:
    """How much waits for the reader behind a line of the menu."""
    if act is not Act.PROPOSAL_VIEW:
        return 0
    return Proposal.objects.for_decision_by(user.pk, user.role).count()
