"""Waking a worker once a transaction is committed. The broker only wakes: the row is the truth,
so a broker that is away delays the work until the next round of the dispatcher."""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from deployments.models import Operation

logger = logging.getLogger(__name__)

RUN_OPERATION = "deployments.run_operation"
RECONCILE = "deployments.reconcile"


def after_commit(operation: Operation) -> None:
    pk = str(operation.pk)
    transaction.on_commit(lambda: now(pk))


def now(pk: str) -> None:
    _send(RUN_OPERATION, [pk])


def reconcile_after_commit() -> None:
    """A node came back or a wish changed: compare at once instead of at the next round."""
    transaction.on_commit(reconcile)


def reconcile() -> None:
    _send(RECONCILE, [])


def _send(task: str, arguments: list[str]) -> None:
    try:
        current_app.send_task(task, args=arguments, retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("the broker is away; %s waits for the next round: %s", task, error)
