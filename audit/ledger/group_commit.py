"""Events of the inference path: whatever queued during the last COMMIT goes into the next one.

A waiter is released only after COMMIT. When the database cannot be written the writer refuses new
events at once (the gateway answers 503), keeps those it accepted, and stores them when it is back:
same ids, same numbers, so that a COMMIT whose answer was lost is not stored twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import psycopg

from audit.ledger.event import Draft, Event, Writer, build
from audit.ledger.log import LogUnavailable, writer_name

logger = logging.getLogger(__name__)

EVENT_COLUMNS = (
    "id", "leaf", "leaf_hash", "at", "writer", "boot", "wseq", "act", "outcome", "severity",
    "actor_kind", "actor_id", "key_id", "object_type", "object_id", "object_label",
    "deployment", "request_id",
)  # fmt: skip
MAX_BATCH = 500
RETRY_FIRST_S, RETRY_MOST_S = 0.1, 2.0


@dataclass(slots=True)
class _Pending:
    event: Event
    done: asyncio.Future[None] = field(repr=False)


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
        self._writer = Writer(writer_name(kind), uuid.uuid4())
        self._wseq = 0
        self._queue: list[_Pending] = []
        self._wake = asyncio.Event()
        self._connection: psycopg.AsyncConnection[tuple[object, ...]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.failure: str = "not started"

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
        """Store what is queued, then close. Events not stored in time are logged as lost."""
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
            await self._connection.close()

    def submit(self, draft: Draft, *, even_if_failing: bool = False) -> asyncio.Future[None]:
        """Queue an event; the future is done when it is durable.

        Raises LogUnavailable when the log cannot be written or the queue is full. The closing
        event of a request already admitted is accepted all the same (`even_if_failing`).
        """
        if not even_if_failing:
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

    async def write(self, draft: Draft, timeout_s: float = 3.0) -> None:
        """Queue an event and wait until it is durable. Raises LogUnavailable after `timeout_s`."""
        future = self.submit(draft)
        try:
            await asyncio.wait_for(asyncio.shield(future), timeout_s)
        except TimeoutError as error:
            raise LogUnavailable("storing an event took too long") from error

    async def _run(self) -> None:
        delay = RETRY_FIRST_S
        most = MAX_BATCH
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue or self.failure:
                batch = self._queue[:most]
                try:
                    if self._connection is None:
                        await self._connect()
                    await self._store([p.event for p in batch])
                except psycopg.DataError as error:
                    # An event that no database takes must not hold up the others: find it.
                    most = await self._without_the_bad(batch, error)
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

    async def _without_the_bad(self, batch: Sequence[_Pending], error: psycopg.DataError) -> int:
        """How many to store at once after a refusal: one by one, until the bad one is dropped."""
        if self._connection is not None:
            await self._connection.rollback()
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
                self._conninfo, connect_timeout=3, application_name="fusebox-group-commit"
            )
            await self._connection.execute("SELECT 1 FROM ledger_event LIMIT 0")
            await self._connection.rollback()
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
        connection = self._connection
        if connection is None:
            raise LogUnavailable(self.failure)
        if events:
            # Three statements a batch, however large: arrays are cheaper than rows on both sides.
            await connection.execute(_INSERT_EVENTS, _event_arrays(events))
            await connection.execute(_INSERT_PERSONAL, _personal_arrays(events))
            await connection.execute(_INSERT_MENTIONS, _mention_arrays(events))
            await connection.commit()
        self.failure = ""


COLUMN_TYPES = {
    "id": "uuid", "leaf": "bytea", "leaf_hash": "bytea", "at": "timestamptz", "boot": "uuid",
    "wseq": "bigint", "severity": "smallint",
}  # fmt: skip
_ARRAYS = ", ".join(f"%s::{COLUMN_TYPES.get(name, 'text')}[]" for name in EVENT_COLUMNS)
_INSERT_EVENTS = (
    f"INSERT INTO ledger_event ({', '.join(EVENT_COLUMNS)}) "  # noqa: S608  constant names
    f"SELECT * FROM unnest({_ARRAYS}) ON CONFLICT DO NOTHING"
)
_INSERT_PERSONAL = (
    'INSERT INTO ledger_personal (event_id, key, ip, "values") '
    "SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::text[], %s::jsonb[]) ON CONFLICT DO NOTHING"
)
_INSERT_MENTIONS = (
    "INSERT INTO ledger_mention (object_id, event_id) "
    "SELECT * FROM unnest(%s::text[], %s::uuid[]) ON CONFLICT DO NOTHING"
)


def _event_arrays(events: Sequence[Event]) -> list[list[object]]:
    """One array a column, in the order of EVENT_COLUMNS."""
    arrays: list[list[object]] = [
        [e.id for e in events],
        [e.leaf for e in events],
        [e.leaf_hash for e in events],
    ]
    return arrays + [[e.columns[name] for e in events] for name in EVENT_COLUMNS[3:]]


def _personal_arrays(events: Sequence[Event]) -> list[list[object]]:
    return [
        [e.id for e in events],
        [e.personal["key"] for e in events],
        [e.personal["ip"] for e in events],
        [orjson.dumps(e.personal["values"]).decode() for e in events],
    ]


def _mention_arrays(events: Sequence[Event]) -> list[list[object]]:
    pairs = [(object_id, e.id) for e in events for object_id in e.mentions]
    return [[object_id for object_id, _event in pairs], [event for _object, event in pairs]]
