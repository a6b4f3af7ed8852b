"""Waking a worker once a transaction is committed. The broker only wakes: the row is the truth,
so a broker that is away delays the work until the next round of the dispatcher.

Three queues, each with workers of its own: what is short and regular, what changes deployments,
and transfers, which take hours and must keep nothing else waiting.
"""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from deployments.models import TRANSFERS, Operation, OperationKind

logger = logging.getLogger(__name__)

RUN_OPERATION = "deployments.run_operation"
RECONCILE = "deployments.reconcile"
OPERATIONS_QUEUE = "fusebox.operations"
TRANSFERS_QUEUE = "fusebox.transfers"


def after_commit(operation: Operation) -> None:
    pk, kind = str(operation.pk), operation.kind
    transaction.on_commit(lambda: now(pk, kind))


def now(pk: str, kind: str) -> None:
    _send(RUN_OPERATION, [pk], queue=queue_of(kind))


def queue_of(kind: str) -> str:
    moves = kind in (*TRANSFERS, OperationKind.EXPORT)
    return TRANSFERS_QUEUE if moves else OPERATIONS_QUEUE


def reconcile_after_commit() -> None:
    """A node came back or a wish changed: compare at once instead of at the next round."""
    transaction.on_commit(reconcile)


def reconcile() -> None:
    _send(RECONCILE, [])


def _send(task: str, arguments: list[str], queue: str | None = None) -> None:
    try:
        current_app.send_task(task, args=arguments, retry=False, queue=queue)
    except (OperationalError, OSError) as error:
        logger.warning("the broker is away; %s waits for the next round: %s", task, error)
