"""Events as files, streamed in constant memory from one snapshot over a connection of its own.

What a file looks like is a matter of its format (audit/office/formats).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar
from uuid import UUID

import psycopg
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from audit.ledger.models import Event
from audit.office import formats, search
from audit.office.csv_rows import UNREADABLE
from audit.office.filters import Filter
from audit.office.formats.base import PIECE_BYTES, Record

Connection = psycopg.Connection[tuple[Any, ...]]
T = TypeVar("T")
# A reader who stops reading must not hold a snapshot for ever.
LIMIT_S = 2 * 3600
STEP = 1000


class Stream:
    """One export: what it holds is settled before its first byte. Iterate it once; close it.

    newest: the id of its newest event, empty when it holds none. A failure while reading raises:
    who sends the pieces on must break off then, not end as if all had been sent. `extra` are lines
    that a file may show of itself, `folder` is for unfinished parts; progress is called now and
    then with the number of events that were read, and may raise.
    """

    def __init__(
        self,
        wanted: Filter,
        format: str,
        *,
        extra: Mapping[str, str] | None = None,
        folder: Path | None = None,
        progress: Callable[[int], None] = lambda _done: None,
    ) -> None:
        chosen = formats.ALL[format]
        self.format = format
        self.content_type = chosen.content_type
        rows = search.events(wanted).select_related(None)
        self._connection = snapshot()
        self._pieces: Iterator[bytes] | None = None
        try:
            self._begin(rows)
        except BaseException:
            self.close()
            raise
        # Now, while the reader's language is the active one.
        draw = chosen.begin(formats.About(wanted, self.count, extra or {}, folder))
        query, params = sql(chosen.columns(rows.order_by("id")))
        types = list(chosen.types)

        def records(query: str, params: tuple[Any, ...]) -> Iterator[Record]:
            return _told(copy(self._connection, query, params, types), progress)

        self._draw: Callable[[], Iterator[bytes]] = lambda: draw(records(query, params))
        if chosen.rows:
            made = chosen.rows()
            self._draw = lambda: made.guarded(
                _told(_lines(self._connection, *made.written(query, params)), progress),
                lambda last: records(*sql(chosen.columns(_after(rows, last).order_by("id")))),
            )

    def _begin(self, rows: QuerySet[Event]) -> None:
        settings = {
            "statement_timeout": f"{LIMIT_S}s",
            "TimeZone": timezone.get_current_timezone_name(),
        }
        with self._connection.cursor() as cursor:
            for name, value in settings.items():
                cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
            query, params = sql(rows.order_by("-id").values_list("id")[:1])
            found = cursor.execute(query, params).fetchone()
            self.newest = str(found[0]) if found else ""
            query, params = sql(rows.order_by().values_list("id"))
            query = f"SELECT count(*) FROM ({query}) AS wanted"  # noqa: S608  the ORM wrote it
            counted = cursor.execute(query, params).fetchone()
            self.count: int = counted[0] if counted else 0

    def read(self) -> bytes:
        """The next piece; empty at the end."""
        if self._pieces is None:
            self._pieces = self._draw()
        return next(self._pieces, b"")

    def __iter__(self) -> Iterator[bytes]:
        try:
            while piece := self.read():
                yield piece
        finally:
            self.close()

    def cancel(self) -> None:
        """Stop a `read` that another thread waits in."""
        with contextlib.suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=5)

    def close(self) -> None:
        self._pieces = None
        self._connection.close()


def _after(rows: QuerySet[Event], last: UUID | None) -> QuerySet[Event]:
    return rows.filter(id__gt=last) if last else rows


def _lines(connection: Connection, query: str, values: tuple[Any, ...]) -> Iterator[bytes]:
    """A line a row, as PostgreSQL writes CSV: it sends each row in a message of its own. When it
    cannot, the snapshot is as it was."""
    connection.execute("SAVEPOINT lines")
    try:
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)", values) as stream,
        ):
            for line in stream:
                yield bytes(line)
    except UNREADABLE:
        connection.execute("ROLLBACK TO SAVEPOINT lines")
        raise


def _told(records: Iterator[T], progress: Callable[[int], None]) -> Iterator[T]:
    for number, record in enumerate(records):
        if not number % STEP:
            progress(number)
        yield record


class Drawn:
    """A stream for an event loop: the database is waited for in threads."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        step: asyncio.Future[bytes] | None = None
        try:
            while True:
                step = asyncio.ensure_future(asyncio.to_thread(self._stream.read))
                piece = await asyncio.shield(step)
                if not piece:
                    return
                yield piece
        finally:
            # When the client has gone a thread may still be reading: the connection is its own
            # until it has been told to stop, and has.
            if step is not None and not step.done():
                await asyncio.to_thread(self._stream.cancel)
                await asyncio.wait([step])
                step.exception()
            await asyncio.to_thread(self._stream.close)

    def close(self) -> None:
        """For a response that was never begun."""
        self._stream.close()


class Pieces:
    """A finished file as a response takes it, with or without an event loop."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        file.seek(0)

    def __iter__(self) -> Iterator[bytes]:
        try:
            while piece := self._file.read(PIECE_BYTES):
                yield piece
        finally:
            self._file.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while piece := await asyncio.to_thread(self._file.read, PIECE_BYTES):
                yield piece
        finally:
            self._file.close()

    def close(self) -> None:
        self._file.close()


def copy(
    connection: Connection, query: str, values: tuple[Any, ...], types: list[str]
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query by COPY, in constant memory."""
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)", values) as stream,
    ):
        stream.set_types(types)
        yield from stream.rows()


def sql(rows: QuerySet[Event, Any], empty: str = "bytea") -> tuple[str, tuple[Any, ...]]:
    """The ORM's own query; `empty` is the type of the column of one that can find nothing."""
    try:
        return rows.query.sql_with_params()
    except EmptyResultSet:
        return f"SELECT NULL::{empty} WHERE false", ()


def snapshot() -> Connection:
    """Like Django's, but ours alone: read-only, with one snapshot from its first question on."""
    found = psycopg.connect(**connection.get_connection_params())
    found.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    found.read_only = True
    return found
