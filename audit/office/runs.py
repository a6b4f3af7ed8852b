"""Long work of the office in a worker: taken up once, told how far it is, stopped when asked.

The row is the truth; the broker only wakes (docs/decisions/0004). A worker that was killed, or
that slept so long that another took its work up, can no longer write to the row.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, connection
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from audit.ledger.check import Stopped
from audit.office.models import UNDER_WAY, Run, RunState

logger = logging.getLogger(__name__)
STALE = timedelta(seconds=30)
TELL_S = 1.0
BEAT_S = 5.0
R = TypeVar("R", bound=Run)


def forgotten(kind: type[Run]) -> list[UUID]:
    """Those that nobody runs: lost by the broker, or their worker was killed."""
    late = timezone.now() - STALE
    rows = kind._default_manager.filter(state__in=UNDER_WAY, beat_at__lt=late)
    return list(rows.values_list("pk", flat=True))


def take(kind: type[R], pk: str, *, total: int = 0) -> R | None:
    """The row, ours from here on; None when somebody runs it or it has ended."""
    rows = kind._default_manager.filter(pk=pk)
    stale = Q(state=RunState.RUNNING, beat_at__lt=timezone.now() - STALE)
    mine = rows.filter(Q(state=RunState.QUEUED) | stale)
    ours = {"state": RunState.RUNNING, "done": 0, "total": total, "attempt": F("attempt") + 1}
    if not mine.update(**ours, beat_at=Now()):
        return None
    return rows.get()


def cancel(row: Run) -> bool:
    """Ask the worker to stop; what nobody has begun ends at once. False when it has ended."""
    rows = type(row)._default_manager.filter(pk=row.pk)
    if rows.filter(state=RunState.QUEUED).update(state=RunState.CANCELLED, finished_at=Now()):
        return True
    running = rows.filter(state=RunState.RUNNING, cancel_requested_at=None)
    return bool(running.update(cancel_requested_at=Now()))


def finish(row: Run, state: RunState, **values: Any) -> bool:
    """Write the end; False when the work is no longer ours."""
    return bool(_ours(row).update(state=state, finished_at=Now(), **values))


class Progress:
    """Called now and then with how much is done; raises Stopped when asked to, or when taken."""

    def __init__(self, row: Run) -> None:
        self._row = row
        self._told_at = 0.0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._told_at < TELL_S:
            return
        self._told_at = now
        if not _ours(self._row).filter(cancel_requested_at=None).update(done=done, beat_at=Now()):
            raise Stopped


@contextmanager
def beating(row: Run) -> Iterator[None]:
    """Say that the work is under way through steps that tell of no progress, however long they
    take: a workbook that is closed, a hash, a slow disk."""
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(row, ended), name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(row: Run, ended: threading.Event) -> None:
    """Until the work has ended, or is no longer ours. The connection is this thread's own."""
    while not ended.wait(BEAT_S):
        try:
            if not _ours(row).update(beat_at=Now()):
                return
        except DatabaseError as error:
            # What is missed now is said at the next beat; the work itself notices what matters.
            logger.warning("the beat of %s was missed: %s", row.pk, error)
        finally:
            connection.close()


def _ours(row: Run) -> Any:
    kind = type(row)._default_manager
    return kind.filter(pk=row.pk, state=RunState.RUNNING, attempt=row.attempt)
