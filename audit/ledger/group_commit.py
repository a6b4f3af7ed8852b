"""Events of the inference path: whatever queued during the last COMMIT goes into the next one.

A waiter is released only after COMMIT. Events go into the intake, which has no index but its key;
the sealer files them where they are found (`ledger_file`), and if it does not, this process does.

When the database cannot be written the writer refuses new events at once (the gateway answers
503), keeps those it accepted, and stores them when it is back: same ids, same numbers, so that a
COMMIT whose answer was lost is not filed twice.

A process that was silent for too long is closed by the sealer, which ends the requests that it
left open. Should it come back, it finds itself fenced: it begins anew and ends none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import psycopg

from audit.ledger import rows
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.event import Draft, Event, Writer, build
from audit.ledger.log import LogUnavailable, writer_name

logger = logging.getLogger(__name__)

MAX_BATCH = 500
SPLIT = 16
RETRY_FIRST_S, RETRY_MOST_S = 0.1, 2.0
BEAT_S = 5.0
REGISTER = """
INSERT INTO ledger_process (boot, name) VALUES (%s, %s)
ON CONFLICT (boot) DO UPDATE SET name = excluded.name
"""
BEAT = """
UPDATE ledger_process SET beat_at = now() WHERE boot = %s AND closed_at IS NULL RETURNING boot
"""
STILL_OPEN = "SELECT boot FROM ledger_process WHERE boot = %s AND closed_at IS NULL FOR SHARE"


@dataclass(slots=True)
class _Pending:
    event: Event
    done: asyncio.Future[None] = field(repr=False)


def _at_once(waiting: int, most: int, *, idle: bool) -> int:
    """How many to store next. All that wait; but of many that came while nothing was being stored,
    half: the others are then stored while those who waited for the first make their next events,
    where otherwise this process and the database would take turns at being idle."""
    if idle and waiting >= SPLIT:
        return min(most, waiting // 2)
    return most


class GroupCommit:
    """Durable events for one event loop. `start()` before use, `stop()` stores what is left.

    conninfo: libpq connection string of a role that may INSERT. log: origin of the log.
    bound: how many events may wait at most; one more raises LogUnavailable.
    """

    def __init__(
        self, conninfo: str, *, log: str, kind: str = "gateway", bound: int = 2000
    ) -> None:
        self._conninfo = conninfo
        self._log = log
        self._bound = bound
        self._kind = kind
        self._begin_boot()
        self._queue: list[_Pending] = []
        self._wake = asyncio.Event()
        self._connection: psycopg.AsyncConnection[tuple[object, ...]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._beat_at = self._filed_at = 0.0
        self.failure: str = "not started"

    def _begin_boot(self) -> None:
        self._writer = Writer(writer_name(self._kind), uuid.uuid4())
        self._wseq = 0

    @property
    def boot(self) -> uuid.UUID:
        """Under which these events are numbered; another one after this process was fenced."""
        return self._writer.boot

    @property
    def healthy(self) -> bool:
        return not self.failure

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def start(self) -> None:
        """Connect (a database that is away is waited for in the background) and begin to store."""
        try:
            await self._connect()
        except LogUnavailable:
            # Nobody can submit while it fails: the writer itself must go on trying.
            self._wake.set()
        self._task = asyncio.create_task(self._run(), name="group-commit")

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Store what is queued, then close. Events not stored in time are logged as lost.

        The last event says that it is the last: the log shows if one of this process is missing.
        """
        if self.healthy:
            self.submit(Draft(Actor.system(self._kind), Act.PROCESS_STOPPED))
        self._stopping = True
        self._wake.set()
        if self._task:
            done, _ = await asyncio.wait({self._task}, timeout=timeout_s)
            if not done:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
        for pending in self._queue:
            logger.critical("event not stored: %s", pending.event.leaf.decode())
        if self._connection:
            with contextlib.suppress(psycopg.Error, OSError):
                await self._connection.execute(rows.FILE, [MAX_BATCH])
            await self._connection.close()

    def submit(self, draft: Draft, *, ends: uuid.UUID | None = None) -> asyncio.Future[None]:
        """Queue an event; the future is done when it is durable.

        Raises LogUnavailable when the log cannot be written or the queue is full. The closing
        event of a request already admitted is accepted all the same; `ends` is the boot in which
        it was: of another boot the sealer has ended it already, and this raises.
        """
        if ends is not None and ends != self.boot:
            raise LogUnavailable("the request was ended for this process, which had been silent")
        if ends is None:
            if self.failure:
                raise LogUnavailable(self.failure)
            if len(self._queue) >= self._bound:
                raise LogUnavailable("too many events are waiting to be stored")
        event = build(draft, log=self._log, writer=self._writer, wseq=self._wseq)
        self._wseq += 1
        pending = _Pending(event, asyncio.get_running_loop().create_future())
        self._queue.append(pending)
        self._wake.set()
        return pending.done

    async def write(
        self, draft: Draft, timeout_s: float = 3.0, *, ends: uuid.UUID | None = None
    ) -> None:
        """Queue an event and wait until it is durable. Raises LogUnavailable after `timeout_s`, and
        whenever `submit` does."""
        future = self.submit(draft, ends=ends)
        try:
            async with asyncio.timeout(timeout_s):
                # Who gives up waiting cancels the future; the event is stored all the same.
                await future
        except TimeoutError as error:
            raise LogUnavailable("storing an event took too long") from error

    async def _run(self) -> None:
        delay = RETRY_FIRST_S
        most = MAX_BATCH
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), BEAT_S)
            self._wake.clear()
            await self._now_and_then()
            idle = True
            while self._queue or self.failure:
                batch = self._queue[: _at_once(len(self._queue), most, idle=idle)]
                idle = False
                try:
                    if self._connection is None:
                        await self._connect()
                    await self._store([p.event for p in batch])
                except psycopg.DataError as error:
                    # An event that no database takes must not hold up the others: find it.
                    most = self._without_the_bad(batch, error)
                    continue
                except (psycopg.Error, LogUnavailable, OSError) as error:
                    await self._fail(error)
                    if self._stopping:
                        return
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, RETRY_MOST_S)
                    continue
                delay = RETRY_FIRST_S
                del self._queue[: len(batch)]
                for pending in batch:
                    if not pending.done.done():
                        pending.done.set_result(None)
            if self._stopping:
                return

    def _without_the_bad(self, batch: Sequence[_Pending], error: psycopg.DataError) -> int:
        """How many to store at once after a refusal: one by one, until the bad one is dropped."""
        if len(batch) > 1:
            return 1
        bad = self._queue.pop(0)
        logger.critical("an event was refused and is lost: %s: %r", error, bad.event.leaf)
        if not bad.done.done():
            bad.done.set_exception(LogUnavailable(str(error)))
        return MAX_BATCH

    async def _connect(self) -> None:
        try:
            self._connection = await psycopg.AsyncConnection.connect(
                self._conninfo,
                autocommit=True,
                connect_timeout=3,
                application_name="fusebox-group-commit",
            )
            await self._connection.execute("SELECT 1 FROM ledger_intake LIMIT 0")
            await self._connection.execute(REGISTER, [self.boot, self._writer.name])
            self._beat_at = 0.0
            self.failure = ""
        except (psycopg.Error, OSError) as error:
            self.failure = f"the log cannot be written: {error}".strip()
            raise LogUnavailable(self.failure) from error

    async def _fail(self, error: BaseException) -> None:
        if not self.failure:
            logger.error("the log cannot be written, requests are refused: %s", error)
        self.failure = f"the log cannot be written: {error}".strip()
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()
        self._wake.set()

    async def _store(self, events: Sequence[Event]) -> None:
        """In one transaction: this process is not closed, and will not be before they are in."""
        connection = self._connection
        if connection is None:
            raise LogUnavailable(self.failure)
        if events:
            now = time.monotonic()
            due = now - self._beat_at > BEAT_S
            statement = rows.TAKE_IN.format(writer=BEAT if due else STILL_OPEN)
            stored = await connection.execute(statement, [self.boot, *rows.taken_in(events)])
            if stored.rowcount != len(events):
                self._fenced()
            if due:
                self._beat_at = now
        self.failure = ""

    async def _now_and_then(self) -> None:
        """Say that this process lives, when no event does; see that what it stored is filed."""
        connection = self._connection
        if connection is None or self._queue:
            return
        now = time.monotonic()
        try:
            if now - self._beat_at > BEAT_S:
                open_still = await connection.execute(BEAT, [self.boot])
                if open_still.rowcount != 1:
                    self._fenced()
                self._beat_at = now
            if now - self._filed_at > BEAT_S:
                late = await (await connection.execute(rows.FILE_LATE, [MAX_BATCH])).fetchone()
                # What was too much for once goes on when this is called next.
                self._filed_at = 0.0 if late and late[0] == MAX_BATCH else now
        except (psycopg.Error, LogUnavailable, OSError) as error:
            await self._fail(error)

    def _fenced(self) -> NoReturn:
        self._begin_anew()
        raise LogUnavailable("this process was silent for too long; it begins anew")

    def _begin_anew(self) -> None:
        """After a fence: what waits belongs to requests that the sealer has ended."""
        lost, self._queue = self._queue, []
        for pending in lost:
            if not pending.done.done():
                pending.done.set_exception(LogUnavailable("this process had been silent"))
        self._begin_boot()
