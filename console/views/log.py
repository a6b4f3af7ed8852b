"""Pages about the log itself: is it whole, since when, who says so; verify and acknowledge."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from audit.ledger import proofs
from audit.ledger.acts import Act
from audit.ledger.models import Checkpoint
from audit.office import actions, outside_heads, standing
from audit.office.models import Verification
from console import downloads
from console.forms import ReasonForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from console.retention_forms import ReleaseForm
from console.views.proposals import asked

SHOWN = 10


def log_detail(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.AUDIT_VERIFY)
    now = standing.now()
    context = {
        "now": now,
        "runs": Verification.objects.all()[:SHOWN],
        "checkpoints": Checkpoint.objects.order_by("-pk")[:SHOWN],
        "live": now.under_way is not None,
    }
    return render_page(request, "log/detail.html", context, partial="log")


@require_POST
def log_verify(request: PageRequest) -> HttpResponse:
    return act(
        request,
        lambda: actions.request_verification(
            actor=request.actor, since_last="since_last" in request.POST
        ),
        done=_("The verification has begun."),
        then=reverse("log-detail"),
    )


@require_POST
def log_verify_cancel(request: PageRequest, pk: UUID) -> HttpResponse:
    run = policy.get_for(
        request.actor, Act.AUDIT_CANCEL_VERIFICATION, Verification.objects.all(), pk
    )
    return act(
        request,
        lambda: actions.cancel_verification(actor=request.actor, run=run),
        done=_("The verification is being cancelled."),
        then=reverse("log-detail"),
    )


def rollback_acknowledge(request: PageRequest) -> HttpResponse:
    """What happened, in plain words, and the form by which an administrator owns to it."""
    policy.require(request.actor, Act.AUDIT_ACKNOWLEDGE)
    sealer = standing.rollback()
    form = ReasonForm(request.POST or None)
    if request.method == "POST":
        incident = sealer.incident if sealer and sealer.incident else UUID(int=0)
        if submit(request, form, lambda given: _acknowledge(request, incident, given["reason"])):
            messages.success(request, _("Acknowledged. Sealing goes on after two administrators."))
            return redirect(request, reverse("rollback-acknowledge"))
    context = {"sealer": sealer, "acknowledged": standing.acknowledged(sealer), "form": form}
    status = 422 if form.errors else 200
    return render_page(request, "log/rollback.html", context, status=status)


def _acknowledge(request: PageRequest, incident: UUID, reason: str) -> bool:
    actions.acknowledge_rollback(actor=request.actor, incident=incident, reason=reason)
    return True


def log_new_key(request: PageRequest) -> HttpResponse:
    """Propose that the sealer changes its key, with a reason."""
    policy.require(request.actor, Act.AUDIT_NEW_KEY)
    form = ReleaseForm(request.POST or None)
    if request.method == "POST":
        made = submit(request, form, lambda v: actions.request_new_key(actor=request.actor, **v))
        if made:
            return asked(request, made)
    context = {"now": standing.now(), "form": form}
    return render_page(request, "log/new_key.html", context, status=422 if form.errors else 200)


def log_certificate(request: PageRequest) -> HttpResponse:
    """The certificate as a file: what a verifier trusts."""
    policy.require(request.actor, Act.AUDIT_VERIFY)
    try:
        data = settings.LOG_CERTIFICATE.read_bytes()
    except OSError as error:
        raise Http404 from error
    return _file(data, "fusebox-certificate.txt")


def log_checkpoint(request: PageRequest) -> HttpResponse:
    """The newest signed head as a file: kept elsewhere, it is an outside copy."""
    policy.require(request.actor, Act.AUDIT_VERIFY)
    signed = proofs.newest()
    if signed is None:
        raise Http404
    note = outside_heads.cosigned(signed.tree, signed.size, signed.note)
    return _file(note.encode(), f"fusebox-checkpoint-{signed.tree}-{signed.size}.txt")


def _file(data: bytes, name: str) -> HttpResponse:
    kind = "text/plain; charset=utf-8"
    return HttpResponse(data, content_type=kind, headers=downloads.headers(name))
