"""Pages of keeping: the policy, what goes next, what went, and holds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from access import policy
from access.models import Proposal, User
from audit.ledger.acts import Act
from audit.ledger.models import Event
from audit.office import actions, retention
from audit.office.models import Hold, HoldKind
from audit.office.reading import Reading
from console.htmx import redirect
from console.requests import PageRequest, submit
from console.retention_forms import HoldForm, ReleaseForm, RetentionForm
from console.views.proposals import asked
from deployments.models import Deployment

SHOWN = 20


def retention_detail(request: PageRequest) -> HttpResponse:
    """How long events are kept; the form proposes another policy."""
    policy.require(request.actor, Act.AUDIT_VIEW_RETENTION)
    rule = retention.policy()
    initial = {"days": rule.days, "outside_days": rule.outside_days}
    form = RetentionForm(request.POST or None, initial=initial)
    if request.method == "POST":
        policy.require(request.actor, Act.AUDIT_SET_RETENTION)
        made = submit(request, form, lambda v: actions.set_retention(actor=request.actor, **v))
        if made:
            return asked(request, made)
    context = {
        "rule": rule,
        "floor": retention.floor(),
        "outside_floor": retention.OUTSIDE_FLOOR,
        "preview": retention.preview(),
        "runs": [Reading(event) for event in _runs()],
        "holds": Hold.objects.filter(released_at=None).count(),
        "form": form,
        "waiting": Proposal.objects.waiting().filter(act=Act.AUDIT_SET_RETENTION).first(),
    }
    return render(request, "retention/detail.html", context, status=422 if form.errors else 200)


def hold_list(request: PageRequest) -> HttpResponse:
    """Holds in force and released ones; the form sets one."""
    policy.require(request.actor, Act.AUDIT_VIEW_RETENTION)
    given = {name: request.GET.get(name, "") for name in ("kind", "event")}
    form = HoldForm(request.POST or None, initial={k: v for k, v in given.items() if v})
    if request.method == "POST":
        policy.require(request.actor, Act.AUDIT_HOLD)
        if submit(request, form, lambda v: actions.hold(actor=request.actor, **_held(v))):
            messages.success(request, _("It is held. Nothing it covers is removed."))
            return redirect(request, reverse("hold-list"))
    rows = list(Hold.objects.all()[: 10 * SHOWN])
    names = _names(rows)
    told_of = [
        (row, names.get(row.value, row.label), names.get(str(row.set_by), "–")) for row in rows
    ]
    context = {
        "form": form,
        "in_force": [told for told in told_of if not told[0].released_at],
        "released": [told for told in told_of if told[0].released_at],
    }
    return render(request, "holds/list.html", context, status=422 if form.errors else 200)


def hold_release(request: PageRequest, pk: UUID) -> HttpResponse:
    """Propose that a hold ends, with a reason."""
    row = policy.get_for(request.actor, Act.AUDIT_RELEASE_HOLD, Hold.objects.all(), pk)
    form = ReleaseForm(request.POST or None)
    if request.method == "POST":
        made = submit(
            request, form, lambda v: actions.release_hold(actor=request.actor, hold=row, **v)
        )
        if made:
            return asked(request, made)
    context = {"hold": row, "name": _names([row]).get(row.value, row.label), "form": form}
    return render(request, "holds/release.html", context, status=422 if form.errors else 200)


def _runs() -> list[Event]:
    rows = Event.objects.filter(act=Act.AUDIT_PRUNE).select_related("personal")
    return list(rows.order_by("-id")[:SHOWN])


def _held(values: dict[str, Any]) -> dict[str, Any]:
    """What the form chose, as the verb takes it."""
    kind = values["kind"]
    given: dict[str, Any] = {"kind": kind, "reason": values["reason"]}
    if kind == HoldKind.PERIOD:
        return given | {"from_at": values["from_at"], "to_at": values["to_at"]}
    chosen = values.get(str(kind))
    if isinstance(chosen, Deployment):
        return given | {"value": str(chosen.pk), "label": chosen.name}
    return given | {"value": str(chosen.pk) if isinstance(chosen, User) else str(chosen or "")}


def _names(rows: list[Hold]) -> dict[str, str]:
    """The names of the people that holds are on and were set by."""
    found = {str(row.set_by) for row in rows}
    found |= {row.value for row in rows if row.kind == HoldKind.PERSON}
    return {str(person.pk): str(person) for person in User.objects.filter(pk__in=found)}
