"""Sign-in, sign-out, one's own account, and the answer to a forged form."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import i18n
from django.views.decorators.http import require_POST

from access import actions
from access.errors import Denied
from access.models import Key
from access.policy import actor_for
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from console import errors
from console.forms import PasswordForm
from console.requests import PageRequest, submit


@method_decorator(login_not_required, name="dispatch")
class SignIn(LoginView):
    """Sign-in with user name and password. Success and failure are events."""

    template_name = "session/sign_in.html"
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        request = cast(PageRequest, self.request)
        user = form.get_user()
        with transaction.atomic():
            login(request, user)
            actions.sign_in(actor=actor_for(user, origin=request.origin), user=user)
        return redirect(self.get_success_url())

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        request = cast(PageRequest, self.request)
        name = str(form.data.get("username", ""))[:64]
        log.record_alone(
            _named(request, name),
            Act.AUTH_LOGIN,
            outcome="failure",
            reason="wrong user name or password",
        )
        response = super().form_invalid(form)
        response.status_code = 422
        return response


def locked_out(
    request: HttpRequest, credentials: dict[str, Any] | None = None, *_: Any
) -> HttpResponse:
    """What django-axes shows when an account and address failed too often."""
    name = str((credentials or {}).get("username", ""))[:64]
    log.record_alone(
        _named(cast(PageRequest, request), name),
        Act.AUTH_LOCKOUT,
        outcome="denied",
        reason="too many failed attempts",
    )
    return render(request, "session/sign_in.html", {"locked_out": True}, status=429)


@require_POST
def sign_out(request: PageRequest) -> HttpResponse:
    with transaction.atomic():
        actions.sign_out(actor=request.actor, user=request.user)
        logout(request)
    return redirect("sign-in")


def account(request: PageRequest) -> HttpResponse:
    """One's own name, role, teams and keys; choosing a new password."""
    form = PasswordForm(request.POST or None)
    if request.method == "POST":
        changed = submit(
            request,
            form,
            lambda v: actions.change_password(
                actor=request.actor, user=request.user, old=v["old"], new=v["new"]
            ),
        )
        if changed:
            update_session_auth_hash(request, changed)
            messages.success(request, _("Your password is changed."))
            return redirect("account")
    context = {
        "form": form,
        "keys": Key.objects.filter(owner=request.user),
        "teams": request.user.teams.all(),
    }
    return render(request, "account/account.html", context, status=422 if form.errors else 200)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that did not come from our page, or one that was open too long."""
    page = cast(PageRequest, request)
    actor = getattr(page, "actor", None) or Actor.anonymous(page.origin)
    page.denials.append(Denied(actor, Act.AUTHZ_DENIED, target="csrf"))
    return errors.page(request, 403)


def _named(request: PageRequest, name: str) -> Actor:
    """Nobody yet, under the name that was typed (a personal value: committed to only)."""
    nobody = Actor.anonymous(request.origin)
    return Actor(nobody.kind, "", name, origin=nobody.origin)


set_language = login_not_required(i18n.set_language)
