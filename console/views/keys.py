"""Pages of keys and service accounts. A secret is shown once."""

from __future__ import annotations

from datetime import datetime, time
from uuid import UUID

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from access import actions, policy
from access.errors import Missing
from access.models import Key, User
from audit.ledger.acts import Act
from console.forms import KeyForm
from console.htmx import render_page
from console.requests import PageRequest, act, submit
from console.views.secret import secret_once


def key_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.KEY_VIEW)
    context = {
        "keys": Key.objects.select_related("owner", "created_by"),
        "accounts": User.objects.service_accounts().prefetch_related("teams", "grants"),
    }
    return render_page(request, "keys/list.html", context, partial="key-table")


def key_issue(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.KEY_ISSUE)
    form = KeyForm(request.POST or None, initial={"owner": request.GET.get("owner")})
    if request.method == "POST":
        issued = submit(
            request,
            form,
            lambda v: actions.issue_key(
                actor=request.actor,
                owner=v["owner"],
                name=v["name"],
                expires_at=_end_of(v["expires_at"]),
            ),
        )
        if issued:
            key, secret = issued
            return secret_once(
                request,
                title=_("The key %(name)s is issued") % {"name": key.name},
                label=_("Key"),
                secret=secret,
                note=_(
                    "Store it now in a safe place. Only a hash is kept: it cannot be shown again."
                ),
                then=reverse("key-list"),
            )
    return render(request, "keys/form.html", {"form": form}, status=422 if form.errors else 200)


def key_revoke(request: PageRequest, pk: UUID) -> HttpResponse:
    """Security administrators revoke any key, everyone their own."""
    key = (
        Key.objects.filter(pk=pk)
        .filter(Q() if policy.can(request.actor, Act.KEY_REVOKE) else Q(owner=request.user))
        .first()
    )
    if key is None:
        policy.require(request.actor, Act.KEY_REVOKE, pk)
        raise Missing(_("There is no such key."))
    back = reverse("key-list" if policy.can(request.actor, Act.KEY_VIEW) else "account")
    if request.method != "POST":
        context = {
            "title": _("Revoke the key %(name)s?") % {"name": key},
            "consequences": [
                _("Applications that use it are refused within a second."),
                _("This cannot be undone: issue a new key instead."),
            ],
            "verb": _("Revoke"),
            "cancel_url": back,
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.revoke_key(actor=request.actor, key=key),
        done=_("The key %(name)s is revoked.") % {"name": key},
        then=back,
    )


def _end_of(day: datetime | None) -> datetime | None:
    """The last moment of the chosen day, in the house's time zone."""
    if day is None:
        return None
    return timezone.make_aware(datetime.combine(day, time(23, 59, 59)))
