"""Pages of operations: what is under way, live; cancel and retry."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from audit.ledger.acts import Act
from console.htmx import render_page
from console.requests import PageRequest, act
from deployments import actions
from deployments.models import Operation, OperationKind, OperationState
from deployments.work.steps import STEPS, TITLES

SHOWN = 100


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an operation as a page shows it. state: done, current, failed or waiting."""

    name: str
    title: str | Promise
    state: str


def progress(operation: Operation) -> list[Step]:
    names = STEPS[operation.kind]
    if operation.kind == OperationKind.REPAIR:
        # What is repaired differs: only what it did is shown.
        did = {line["step"] for line in operation.log}
        names = tuple(name for name in names if name in did)
    if operation.step == "stopping":
        last = "pull" if "pull" in names else "make"
        names = (*names[: names.index(last) + 1], "stopping")
    at = names.index(operation.step) if operation.step in names else -1
    current = {
        OperationState.FAILED: "failed",
        OperationState.CANCELLED: "failed",
        OperationState.SUCCEEDED: "done",
    }.get(OperationState(operation.state), "current")

    def state(index: int) -> str:
        if operation.step == "stopping" and operation.is_final:
            stopped = names[index] == "stopping" and not operation.problem
            return "done" if stopped or index < len(names) - 2 else "failed"
        if operation.state == OperationState.SUCCEEDED or index < at:
            return "done"
        return current if index == at else "waiting"

    return [Step(name, TITLES[name], state(i)) for i, name in enumerate(names)]


def operation_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.OPERATION_VIEW)
    operations = Operation.objects.select_related("node", "deployment")[:SHOWN]
    return render_page(
        request, "operations/list.html", {"operations": operations}, partial="operation-table"
    )


def operation_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    operation = policy.get_for(
        request.actor,
        Act.OPERATION_VIEW,
        Operation.objects.select_related("node", "deployment", "revision"),
        pk,
    )
    context = {"operation": operation, "progress": progress(operation)}
    return render_page(request, "operations/detail.html", context, partial="operation-card")


@require_POST
def operation_cancel(request: PageRequest, pk: UUID) -> HttpResponse:
    operation = policy.get_for(request.actor, Act.OPERATION_CANCEL, Operation.objects.all(), pk)
    return act(
        request,
        lambda: actions.cancel_operation(actor=request.actor, operation=operation),
        done=_("Cancellation is asked for; it is stopping."),
        then=_page_of(operation),
    )


@require_POST
def operation_retry(request: PageRequest, pk: UUID) -> HttpResponse:
    operation = policy.get_for(request.actor, Act.OPERATION_RETRY, Operation.objects.all(), pk)
    return act(
        request,
        lambda: actions.retry_operation(actor=request.actor, operation=operation),
        done=_("It is tried again; what is there already is kept."),
        then=reverse("operation-list") if not operation.deployment_id else _page_of(operation),
    )


def _page_of(operation: Operation) -> str:
    if operation.deployment_id:
        return reverse("deployment-detail", args=[operation.deployment_id])
    return reverse("operation-detail", args=[operation.pk])
