"""Holding an operation: one worker at a time, by a lease renewed from a thread of its own.

Every write is conditional on still holding the lease (fencing): a worker that was thought dead
and comes back finds its token gone and stops without a trace.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from access.said import Text, to_json
from deployments import ollama
from deployments.models import Node, Operation, OperationKind, OperationState

HEARTBEAT_S = 2.0
LOOK_S = 0.2
SAMPLE_S = 1.0
RATE_SAMPLES = 10
MAX_LOG_LINES = 200
MAX_LINE = 500
# Trials would push one another's models out of memory; which nodes they take shows only later.
TRIALS_AT_ONCE = 1
TRIAL_LOCK = 0x74726961
T = TypeVar("T")


class Lost(Exception):
    """Another worker holds the operation now: leave everything to it."""


class Cancelled(Exception):
    """Somebody asked for a stop."""


def claim(pk: str) -> Lease | None:
    """Take a waiting operation, or one whose worker is gone. None if there is nothing to take."""
    with transaction.atomic():
        return _claim(pk) if _has_its_turn(pk) else None


def next_in_line(operation: Operation) -> list[str]:
    """Those that waited for this one, oldest first: one of them may begin now."""
    line = operation.in_line
    if line is None:
        return []
    waiting = line.filter(state=OperationState.QUEUED).order_by("created_at")
    return [str(pk) for pk in waiting.values_list("pk", flat=True)[: settings.NODE_TRANSFERS]]


def _has_its_turn(pk: str) -> bool:
    """A node takes a few transfers at once, and one trial runs at a time, in the order in which
    they were asked for. We lock while we look, so that two workers do not both see the last free
    place."""
    operation = Operation.objects.filter(pk=pk).first()
    line = operation.in_line if operation is not None else None
    if operation is None or line is None or operation.cancel_requested_at is not None:
        return True
    places = settings.NODE_TRANSFERS
    if operation.kind == OperationKind.TRY:
        places = TRIALS_AT_ONCE
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TRIAL_LOCK])
    elif operation.node_id is not None:
        list(Node.objects.select_for_update(no_key=True).filter(pk=operation.node_id))
    before = Q(state=OperationState.RUNNING) | Q(
        state=OperationState.QUEUED,
        created_at__lt=operation.created_at,
        retry_at=None,
        cancel_requested_at=None,
    )
    return line.filter(before).exclude(pk=pk).count() < places


def _claim(pk: str) -> Lease | None:
    now = timezone.now()
    token = uuid.uuid4()
    free = Q(state=OperationState.QUEUED) & (Q(retry_at=None) | Q(retry_at__lte=now))
    free |= Q(state=OperationState.QUEUED, cancel_requested_at__isnull=False)
    abandoned = Q(state=OperationState.RUNNING, lease_until__lt=now)
    taken = (
        Operation.objects.filter(pk=pk)
        .filter(free | abandoned)
        .update(
            state=OperationState.RUNNING,
            worker=token,
            lease_until=now + timedelta(seconds=settings.OPERATION_LEASE_S),
            attempt=F("attempt") + 1,
            started_at=now,
            retry_at=None,
            done=0,
            total=0,
            rate=0,
        )
    )
    return Lease(pk, token) if taken else None


class Lease:
    """The operation while this worker holds it. Use as a context; it beats until it is left."""

    def __init__(self, pk: str, token: uuid.UUID) -> None:
        self.pk, self.token = pk, token
        self.operation = Operation.objects.select_related(
            "deployment", "revision__model", "revision__deployment", "node"
        ).get(pk=pk)
        self._samples: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._cancelled = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{pk}", daemon=True)

    def __enter__(self) -> Lease:
        if self.operation.cancel_requested_at:
            self._cancelled.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(HEARTBEAT_S * 2)

    def check(self) -> None:
        """Raise Cancelled or Lost; called between steps and at every piece of progress."""
        if self._lost.is_set():
            raise Lost(self.pk)
        if self._cancelled.is_set():
            raise Cancelled(self.pk)

    def step(self, name: str, text: Text = "") -> None:
        """Begin a step; it shows on the page and in the operation's log."""
        self.check()
        self.note(text, step=name)

    def note(self, text: Text, **fields: Any) -> None:
        """Add a line to the operation's log."""
        operation = self.operation
        operation.step = fields.pop("step", operation.step)
        said = to_json(text[:MAX_LINE] if isinstance(text, str) else text)
        line = {"at": timezone.now().isoformat(), "step": operation.step, "text": said}
        operation.log = [*operation.log, line][-MAX_LOG_LINES:]
        self.write(step=operation.step, log=operation.log, **fields)

    def progress(self, done: int, total: int) -> None:
        """Bytes done of total and their rate; written at each whole percent and each second."""
        self.check()
        operation, now = self.operation, time.monotonic()
        if not total:
            return
        if not self._samples or done < self._samples[-1][1]:
            self._samples = [(now, done)]
        whole = operation.total != total or done * 100 // total != operation.percent
        if not whole and now - self._samples[-1][0] < SAMPLE_S:
            return
        self._samples = [*self._samples, (now, done)][-RATE_SAMPLES:]
        (then, before), seconds = self._samples[0], now - self._samples[0][0]
        rate = int((done - before) / seconds) if seconds > 0 and then < now else 0
        operation.done, operation.total, operation.rate = done, total, rate
        self.write(done=done, total=total, rate=rate)

    def follow(self, steps: ollama.Lines[T]) -> Iterator[T]:
        """What a node reports, looking for a cancellation even while it says nothing."""
        said: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()

        def listen() -> None:
            try:
                for step in steps:
                    said.put(step)
                said.put(None)
            except BaseException as error:  # handed to the reader, who raises it
                said.put(error)

        threading.Thread(target=listen, name=f"follow-{self.pk}", daemon=True).start()
        try:
            while True:
                try:
                    step = said.get(timeout=LOOK_S)
                except queue.Empty:
                    self.check()
                    continue
                if isinstance(step, BaseException):
                    raise step
                if step is None:
                    return
                yield step
        finally:
            steps.hang_up()

    def call(self, work: Callable[[], T]) -> T:
        """Run a long call that cannot be interrupted, looking for a cancellation meanwhile.

        When one comes the call is left behind; it ends by its own timeout.
        """
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(work())
            except BaseException as error:  # handed to the caller, who raises it
                result.set_exception(error)
            finally:
                connection.close()

        threading.Thread(target=run, name=f"call-{self.pk}", daemon=True).start()
        while True:
            try:
                return result.result(timeout=LOOK_S)
            except TimeoutError:
                if result.done():
                    raise
                self.check()

    def write(self, **fields: Any) -> None:
        """Update the row while the lease is ours. Raises Lost when it is not."""
        held = Operation.objects.filter(
            pk=self.pk, worker=self.token, state=OperationState.RUNNING
        ).update(**fields)
        if not held:
            self._lost.set()
            raise Lost(self.pk)

    def _beat(self) -> None:
        try:
            while not self._stop.wait(HEARTBEAT_S):
                self._renew()
        finally:
            connection.close()

    def _renew(self) -> None:
        until = timezone.now() + timedelta(seconds=settings.OPERATION_LEASE_S)
        mine = Operation.objects.filter(pk=self.pk, worker=self.token, state=OperationState.RUNNING)
        try:
            if not mine.update(lease_until=until):
                self._lost.set()
            elif mine.filter(cancel_requested_at__isnull=False).exists():
                self._cancelled.set()
        except DatabaseError:
            # The database is away; if it stays away longer than the lease, another takes over.
            connection.close()
