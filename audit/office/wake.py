"""Waking a worker for a run. The row is the truth: a broker that is away only delays it."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

RUN_VERIFICATION = "audit.run_verification"
MAKE_EXPORT = "audit.make_export"
DELIVER_NOTICES = "audit.deliver_notices"


def verification(pk: UUID) -> None:
    _send(RUN_VERIFICATION, str(pk))


def export(pk: UUID) -> None:
    _send(MAKE_EXPORT, str(pk))


def _send(task: str, *args: str) -> None:
    try:
        current_app.send_task(task, args=list(args), retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("the broker is away; %s starts later: %s", task, error)


def notices() -> None:
    _send(DELIVER_NOTICES)
