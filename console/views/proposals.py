"""Pages of what needs a second person: what waits for the reader, what they asked for, what was
decided."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import actions, policy
from access.models import Proposal, ProposalQuerySet
from audit.ledger.acts import Act
from console.htmx import redirect, render_page
from console.requests import PageRequest, act

SHOWN = 50


def proposal_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.PROPOSAL_VIEW)
    user = request.user
    seen = _visible(request)
    waiting = seen.waiting()
    context = {
        "inbox": waiting.for_decision_by(user.pk, user.role),
        "own": waiting.filter(requester=user),
        "others": waiting.exclude(requester=user).exclude(roles__contains=[user.role])[:SHOWN],
        "decided": seen.exclude(pk__in=waiting.values("pk"))[:SHOWN],
    }
    return render_page(request, "proposals/list.html", context)


def proposal_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    proposal = policy.get_for(request.actor, Act.PROPOSAL_VIEW, _visible(request), pk)
    mine = proposal.requester_id == request.user.pk
    context = {
        "proposal": proposal,
        "mine": mine,
        "may_decide": proposal.is_waiting and not mine and request.user.role in proposal.roles,
    }
    return render_page(request, "proposals/detail.html", context)


@require_POST
def proposal_approve(request: PageRequest, pk: UUID) -> HttpResponse:
    proposal = policy.get_for(request.actor, Act.PROPOSAL_APPROVE, _visible(request), pk)
    return act(
        request,
        lambda: actions.approve(
            actor=request.actor, proposal=proposal, answer=request.POST.get("answer", "")
        ),
        done=_("Approved, and applied as it was asked for."),
        then=reverse("proposal-detail", args=[pk]),
    )


@require_POST
def proposal_reject(request: PageRequest, pk: UUID) -> HttpResponse:
    proposal = policy.get_for(request.actor, Act.PROPOSAL_REJECT, _visible(request), pk)
    return act(
        request,
        lambda: actions.reject(
            actor=request.actor, proposal=proposal, answer=request.POST.get("answer", "")
        ),
        done=_("Refused. Nothing was changed."),
        then=reverse("proposal-detail", args=[pk]),
    )


@require_POST
def proposal_withdraw(request: PageRequest, pk: UUID) -> HttpResponse:
    proposal = policy.get_for(request.actor, Act.PROPOSAL_WITHDRAW, _visible(request), pk)
    return act(
        request,
        lambda: actions.withdraw(actor=request.actor, proposal=proposal),
        done=_("Withdrawn. Nothing was changed."),
        then=reverse("proposal-list"),
    )


def asked(request: PageRequest, proposal: Proposal) -> HttpResponse:
    """To the proposal that was made, or that happened at once where one person is enough."""
    if proposal.alone:
        messages.success(request, _("Applied, without a second person."))
    else:
        messages.success(request, _("Asked for. It happens when a second person approves it."))
    return redirect(request, reverse("proposal-detail", args=[proposal.pk]))


def _visible(request: PageRequest) -> ProposalQuerySet:
    rows = Proposal.objects.visible_to(request.user.pk, request.user.role)
    return rows.select_related("requester", "approver")
