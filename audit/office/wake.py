"""Waking a worker for a verification. The row is the truth: a broker that is away delays it."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

RUN_VERIFICATION = "audit.run_verification"


def now(pk: UUID) -> None:
    try:
        current_app.send_task(RUN_VERIFICATION, args=[str(pk)], retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("the broker is away; the verification starts later: %s", error)
