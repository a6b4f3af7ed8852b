"""The sealer moves on what waits in the intake, and seals the rest where somebody hinders that."""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from audit.ledger import rows

logger = logging.getLogger(__name__)
Connection = psycopg.Connection[tuple[Any, ...]]


def file(connection: Connection, most: int) -> None:
    """In the caller's transaction. Whoever files holds a lock, and whoever has the web's role can
    hold it for ever: what is not filed for long is told by verification."""
    try:
        with connection.transaction():
            connection.execute(rows.FILE, [most])
    except psycopg.errors.LockNotAvailable as error:
        logger.error("the intake cannot be filed now: %s", error)
