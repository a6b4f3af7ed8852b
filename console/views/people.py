"""Pages of people and service accounts."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import actions, policy
from access.models import User
from audit.ledger.acts import Act
from audit.office.models import Erasure
from console.forms import RoleForm, ServiceAccountForm, UserForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from console.views.secret import secret_once


def user_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.USER_VIEW)
    wanted = request.GET.get("q", "").strip()[:64]
    people = User.objects.people().prefetch_related("teams")
    if wanted:
        people = people.filter(username__icontains=wanted) | people.filter(
            display_name__icontains=wanted
        )
    return render_page(
        request, "people/list.html", {"people": people, "q": wanted}, partial="people-table"
    )


def user_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    person = policy.get_for(request.actor, Act.USER_VIEW, User.objects.all(), pk)
    context = {
        "person": person,
        "role_form": RoleForm(initial={"role": person.role}),
        "teams": person.teams.all(),
        "keys": person.keys.all(),
        "grants": person.grants.all(),
        "erasure": Erasure.objects.filter(person_id=pk).first(),
    }
    return render(request, "people/detail.html", context)


def user_create(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.USER_CREATE)
    form = UserForm(request.POST or None)
    if request.method == "POST":
        made = submit(request, form, lambda v: actions.create_user(actor=request.actor, **v))
        if made:
            person, password = made
            return secret_once(
                request,
                title=_("The account %(name)s is made") % {"name": person.username},
                label=_("One-time password"),
                secret=password,
                note=_("Hand it over in person. A new password is chosen at the first sign-in."),
                then=reverse("user-detail", args=[person.pk]),
            )
    return render(request, "people/form.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
def user_set_role(request: PageRequest, pk: UUID) -> HttpResponse:
    person = policy.get_for(request.actor, Act.USER_SET_ROLE, User.objects.all(), pk)
    return act(
        request,
        lambda: actions.set_role(
            actor=request.actor, user=person, role=request.POST.get("role", "")
        ),
        done=_("The role of %(name)s is changed.") % {"name": person},
        then=reverse("user-detail", args=[pk]),
    )


def user_disable(request: PageRequest, pk: UUID) -> HttpResponse:
    person = policy.get_for(request.actor, Act.USER_DISABLE, User.objects.all(), pk)
    back = reverse("user-detail", args=[pk])
    if request.method != "POST":
        context = {
            "title": _("Disable %(name)s?") % {"name": person},
            "consequences": [
                _("Sessions end and keys stop working at once."),
                _("Nothing is deleted; the account can be enabled again."),
            ],
            "verb": _("Disable"),
            "cancel_url": back,
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.disable_user(actor=request.actor, user=person),
        done=_("%(name)s is disabled.") % {"name": person},
        then=back,
    )


@require_POST
def user_enable(request: PageRequest, pk: UUID) -> HttpResponse:
    person = policy.get_for(request.actor, Act.USER_ENABLE, User.objects.all(), pk)
    return act(
        request,
        lambda: actions.enable_user(actor=request.actor, user=person),
        done=_("%(name)s is enabled.") % {"name": person},
        then=reverse("user-detail", args=[pk]),
    )


def user_reset_password(request: PageRequest, pk: UUID) -> HttpResponse:
    person = policy.get_for(request.actor, Act.USER_RESET_PASSWORD, User.objects.people(), pk)
    back = reverse("user-detail", args=[pk])
    if request.method != "POST":
        context = {
            "title": _("Reset the password of %(name)s?") % {"name": person},
            "consequences": [
                _("Their sessions end and the present password stops working at once."),
                _("You get a one-time password to hand over."),
            ],
            "verb": _("Reset"),
            "cancel_url": back,
        }
        return render(request, "confirm.html", context)
    password = actions.reset_password(actor=request.actor, user=person)
    return secret_once(
        request,
        title=_("The password of %(name)s is reset") % {"name": person.username},
        label=_("One-time password"),
        secret=password,
        note=_("Hand it over in person. A new password is chosen at the first sign-in."),
        then=back,
    )


def service_account_create(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.SERVICE_ACCOUNT_CREATE)
    form = ServiceAccountForm(request.POST or None)
    if request.method == "POST":
        account = submit(
            request, form, lambda v: actions.create_service_account(actor=request.actor, **v)
        )
        if account:
            messages.success(
                request, _("The service account %(name)s is made.") % {"name": account}
            )
            return redirect(request, reverse("key-issue") + f"?owner={account.pk}")
    return render(
        request,
        "people/service_account_form.html",
        {"form": form},
        status=422 if form.errors else 200,
    )
