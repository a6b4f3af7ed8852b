"""Pages of the log's witnesses: who confirms it from outside, and what alarmed them."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from access import policy
from audit.ledger.acts import Act
from audit.office import actions, bundle
from audit.office.outside_models import Witness
from console import downloads
from console.forms import ReasonForm, WitnessForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from console.views.secret import secret_once

PROGRAM: Path = bundle.HERE / "witness.py"


def witness_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.AUDIT_REGISTER_WITNESS)
    found = Witness.objects.order_by("revoked_at", "name")
    active, revoked = found.filter(revoked_at=None), found.exclude(revoked_at=None)
    context = {"witnesses": active, "revoked": revoked, "url": settings.FUSEBOX_PUBLIC_URL}
    return render_page(request, "witnesses/list.html", context, partial="witness-table")


def witness_register(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.AUDIT_REGISTER_WITNESS)
    form = WitnessForm(request.POST or None)
    if request.method == "POST":
        made = submit(
            request,
            form,
            lambda given: actions.register_witness(actor=request.actor, vkey=given["vkey"]),
        )
        if made:
            witness, secret = made
            return secret_once(
                request,
                title=_("The witness %(name)s is registered") % {"name": witness.name},
                label=_("Its secret"),
                secret=secret,
                note=_(
                    "The first `python3 witness.py run` asks for it. Only a hash is kept: it cannot"
                    " be shown again."
                ),
                then=reverse("witness-list"),
            )
    context = {"form": form, "url": settings.FUSEBOX_PUBLIC_URL}
    status = 422 if form.errors else 200
    return render(request, "witnesses/register.html", context, status=status)


def witness_revoke(request: PageRequest, pk: UUID) -> HttpResponse:
    witness = policy.get_for(request.actor, Act.AUDIT_REVOKE_WITNESS, Witness.objects.all(), pk)
    if request.method != "POST":
        context = {
            "title": _("Revoke the witness %(name)s?") % {"name": witness},
            "consequences": [
                _("It is answered no more, and its confirmations count no more."),
                _("This cannot be undone: register another key instead."),
            ],
            "verb": _("Revoke"),
            "cancel_url": reverse("witness-list"),
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.revoke_witness(actor=request.actor, witness=witness),
        done=_("The witness %(name)s is revoked.") % {"name": witness},
        then=reverse("witness-list"),
    )


def witness_settle(request: PageRequest, pk: UUID) -> HttpResponse:
    """What alarmed a witness, and the form by which an auditor says what came of it."""
    witness = policy.get_for(
        request.actor, Act.AUDIT_SETTLE_WITNESS_ALARM, Witness.objects.all(), pk
    )
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and submit(
        request,
        form,
        lambda given: bool(
            actions.settle_witness_alarm(
                actor=request.actor, witness=witness, reason=given["reason"]
            )
        ),
    ):
        messages.success(request, _("The alarm of %(name)s is settled.") % {"name": witness})
        return redirect(request, reverse("witness-list"))
    status = 422 if form.errors else 200
    return render_page(
        request, "witnesses/settle.html", {"witness": witness, "form": form}, status=status
    )


def witness_program(request: PageRequest) -> HttpResponse:
    """The program for the other machine: one file."""
    policy.require(request.actor, Act.AUDIT_REGISTER_WITNESS)
    kind = "text/x-python; charset=utf-8"
    headers = downloads.headers("witness.py")
    return HttpResponse(PROGRAM.read_bytes(), content_type=kind, headers=headers)
