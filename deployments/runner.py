"""Running an operation from claim to end, and finding those that nobody runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from access.errors import Refusal
from access.said import Text, english, say
from audit.ledger import log
from audit.ledger.acts import Act
from deployments import ollama, wake
from deployments.lease import Cancelled, Lease, Lost, claim, next_in_line
from deployments.models import LOCAL, Operation, OperationKind, OperationState
from deployments.work import bundles as bundle_work
from deployments.work import copies as copy_work
from deployments.work import deployments as deployment_work
from deployments.work import imports as import_work
from deployments.work import models as model_work
from deployments.work import trials as trial_work

logger = logging.getLogger(__name__)

PATIENCE = 60
WAIT_S, WAIT_MOST_S = 5, 60
MAX_ATTEMPTS = 10
# How long a command that was given by hand has for beginning its own work.
LOCAL_WAIT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Work:
    """What a kind of operation does and undoes, and whether it waits for a node that is away.
    `cancelled` may return what could not be made sure of."""

    do: Callable[[Lease], None]
    failed: Callable[[Lease, Text], None] = lambda _lease, _reason: None
    cancelled: Callable[[Lease], Text | None] = lambda _lease: None
    waits_for_node: bool = False


CONVERGE = Work(deployment_work.converge, deployment_work.failed, deployment_work.cancelled)
WORK: dict[str, Work] = {
    OperationKind.DEPLOY: CONVERGE,
    OperationKind.ROLL_OUT: CONVERGE,
    OperationKind.REPAIR: CONVERGE,
    OperationKind.STOP: Work(deployment_work.converge, waits_for_node=True),
    OperationKind.DELETE: Work(deployment_work.converge, waits_for_node=True),
    OperationKind.IMPORT: Work(import_work.import_model, cancelled=import_work.import_cancelled),
    OperationKind.EXPORT: Work(bundle_work.export),
    OperationKind.UNPACK: Work(bundle_work.unpack),
    OperationKind.COPY: Work(copy_work.copy_model),
    OperationKind.TRY: Work(trial_work.try_scenario),
    OperationKind.PULL: Work(model_work.pull_model, cancelled=model_work.pull_cancelled),
}


def run(pk: str) -> None:
    """Take the operation if it is free and bring it to an end. Safe to call twice, anywhere."""
    lease = claim(pk)
    if lease is None:
        return
    work = WORK[lease.operation.kind]
    with lease:
        try:
            _attempt(lease, work)
        except Lost:
            logger.warning("operation %s is held by another worker now", pk)
    for waiting in next_in_line(lease.operation):
        wake.now(waiting, lease.operation.kind)


def _attempt(lease: Lease, work: Work) -> None:
    try:
        if lease.operation.attempt > MAX_ATTEMPTS and not work.waits_for_node:
            raise ollama.OllamaError(say(_("Workers died on this operation again and again.")))
        work.do(lease)
        _finish(lease, OperationState.SUCCEEDED)
    except Lost:
        raise
    except Cancelled:
        unsure = work.cancelled(lease)
        _finish(lease, OperationState.CANCELLED, unsure or "")
    except (ollama.Unreachable, ollama.Timeout) as error:
        if work.waits_for_node and lease.operation.attempt < PATIENCE:
            _wait(lease, error.text)
        else:
            _fail(lease, work, error.text)
    except (ollama.OllamaError, Refusal) as error:
        _fail(lease, work, error.text)
    except Exception as error:
        logger.exception("operation %s failed", lease.pk)
        kind = type(error).__name__
        _fail(lease, work, say(_("Internal error: %(kind)s. See the worker's log."), kind=kind))


def _fail(lease: Lease, work: Work, reason: Text) -> None:
    lease.note(reason)
    work.failed(lease, reason)
    _finish(lease, OperationState.FAILED, reason)


def _finish(lease: Lease, state: OperationState, problem: Text = "") -> None:
    outcomes = {OperationState.SUCCEEDED: "success", OperationState.FAILED: "failure"}
    with transaction.atomic():
        lease.write(state=state, problem=problem, finished_at=timezone.now(), lease_until=None)
        log.record(
            deployment_work.WORKER,
            Act.OPERATION_FINISHED,
            lease.operation.as_obj(),
            outcome=outcomes.get(state, "aborted"),
            reason=english(problem),
        )


def _wait(lease: Lease, reason: Text) -> None:
    """Give it back to the list: the node is away and the work can only be done there."""
    delay = min(WAIT_S * 2 ** min(lease.operation.attempt, 6), WAIT_MOST_S)
    lease.note(say(_("%(reason)s Trying again in %(delay)d s."), reason=reason, delay=delay))
    lease.write(
        state=OperationState.QUEUED,
        retry_at=timezone.now() + timedelta(seconds=delay),
        lease_until=None,
        worker=None,
    )


def forgotten() -> list[tuple[str, str]]:
    """Operations that should run and do not, and of what kind: waiting too long, or their worker
    is gone."""
    now = timezone.now()
    late = now - timedelta(seconds=settings.OPERATION_LEASE_S / 4)
    here = Q(kind__in=LOCAL, created_at__gt=now - LOCAL_WAIT)
    waiting = (
        ~here
        & Q(state=OperationState.QUEUED, created_at__lt=late)
        & (Q(retry_at=None) | Q(retry_at__lte=now))
    )
    abandoned = Q(state=OperationState.RUNNING, lease_until__lt=now)
    rows = Operation.objects.filter(waiting | abandoned).order_by("created_at")
    return [(str(pk), kind) for pk, kind in rows.values_list("pk", "kind")[:100]]
