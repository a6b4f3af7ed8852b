"""Pages of teams, their members and grants."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import actions, policy
from access.models import Grant, Team, User
from audit.ledger.acts import Act
from console.forms import GrantForm, MemberForm, TeamForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from deployments.models import Deployment


def team_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.TEAM_VIEW)
    teams = Team.objects.annotate(
        member_count=Count("memberships", distinct=True), grant_count=Count("grants", distinct=True)
    )
    return render_page(request, "teams/list.html", {"teams": teams}, partial="team-table")


def team_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    team = policy.get_for(request.actor, Act.TEAM_VIEW, Team.objects.all(), pk)
    granted = team.grants.values("deployment_id")
    member_form = MemberForm()
    member_form.fields["user"].queryset = User.objects.filter(is_active=True).exclude(  # type: ignore[attr-defined]
        teams=team
    )
    context = {
        "team": team,
        "members": team.members.all(),
        "grants": team.grants.all(),
        "member_form": member_form,
        "grantable": Deployment.objects.present().exclude(pk__in=granted),
    }
    return render(request, "teams/detail.html", context)


def team_create(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.TEAM_CREATE)
    form = TeamForm(request.POST or None)
    if request.method == "POST":
        team = submit(request, form, lambda v: actions.create_team(actor=request.actor, **v))
        if team:
            messages.success(request, _("The team %(name)s is made.") % {"name": team})
            return redirect(request, reverse("team-detail", args=[team.pk]))
    return render(request, "teams/form.html", {"form": form}, status=422 if form.errors else 200)


def team_delete(request: PageRequest, pk: UUID) -> HttpResponse:
    team = policy.get_for(request.actor, Act.TEAM_DELETE, Team.objects.all(), pk)
    if request.method != "POST":
        context = {
            "title": _("Delete the team %(name)s?") % {"name": team},
            "consequences": [
                _("People in it: %(count)d. Their accounts stay.")
                % {"count": team.members.count()},
                _("Grants that are taken back: %(count)d.") % {"count": team.grants.count()},
            ],
            "verb": _("Delete"),
            "cancel_url": reverse("team-detail", args=[pk]),
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.delete_team(actor=request.actor, team=team),
        done=_("The team %(name)s is deleted.") % {"name": team},
        then=reverse("team-list"),
    )


@require_POST
def team_add_member(request: PageRequest, pk: UUID) -> HttpResponse:
    team = policy.get_for(request.actor, Act.TEAM_ADD_MEMBER, Team.objects.all(), pk)
    form = MemberForm(request.POST)
    back = reverse("team-detail", args=[pk])
    if not form.is_valid():
        messages.error(request, _("Choose a person or service account."))
        return redirect(request, back)
    user = form.cleaned_data["user"]
    return act(
        request,
        lambda: actions.add_member(actor=request.actor, team=team, user=user),
        done=_("%(name)s is in the team now.") % {"name": user},
        then=back,
    )


@require_POST
def team_remove_member(request: PageRequest, pk: UUID, user_pk: UUID) -> HttpResponse:
    team = policy.get_for(request.actor, Act.TEAM_REMOVE_MEMBER, Team.objects.all(), pk)
    user = policy.get_for(request.actor, Act.TEAM_REMOVE_MEMBER, User.objects.all(), user_pk)
    return act(
        request,
        lambda: actions.remove_member(actor=request.actor, team=team, user=user),
        done=_("%(name)s is no longer in the team.") % {"name": user},
        then=reverse("team-detail", args=[pk]),
    )


@require_POST
def grant_create(request: PageRequest, pk: UUID) -> HttpResponse:
    """Grant the deployment `pk` to a team, a person or a service account."""
    deployment = policy.get_for(request.actor, Act.GRANT_CREATE, Deployment.objects.present(), pk)
    form = GrantForm(request.POST)
    back = _back(request, reverse("deployment-detail", args=[pk]))
    if not form.is_valid():
        messages.error(request, _("Choose a team, a person or a service account."))
        return redirect(request, back)
    holder = form.cleaned_data["team"] or form.cleaned_data["user"]
    return act(
        request,
        lambda: actions.grant(
            actor=request.actor,
            deployment_id=deployment.pk,
            deployment_name=deployment.name,
            **form.cleaned_data,
        ),
        done=_("%(holder)s may use %(name)s now.") % {"holder": holder, "name": deployment},
        then=back,
    )


@require_POST
def grant_revoke(request: PageRequest, pk: UUID) -> HttpResponse:
    row = policy.get_for(
        request.actor, Act.GRANT_REVOKE, Grant.objects.select_related("team", "user"), pk
    )
    return act(
        request,
        lambda: actions.revoke_grant(actor=request.actor, row=row),
        done=_("%(holder)s may no longer use %(name)s.")
        % {"holder": row.holder, "name": row.deployment_name},
        then=_back(request, reverse("deployment-detail", args=[row.deployment_id])),
    )


def _back(request: PageRequest, otherwise: str) -> str:
    """To the page where the form was: the team's, or the overview."""
    if request.POST.get("back_to_home"):
        return reverse("home")
    team = request.POST.get("back_to_team", "")
    return reverse("team-detail", args=[UUID(team)]) if _is_uuid(team) else otherwise


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
