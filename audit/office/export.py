"""Events as files, streamed in constant memory from one snapshot over a connection of its own.

JSON Lines are the canonical leaf bytes, one a line: the only evidential form. CSV is a view for
people: opened personal values, the reader's language, safe to open in a spreadsheet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO, Any

import psycopg
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from audit.ledger.models import Event
from audit.office import csv_rows, search
from audit.office.filters import Filter

Connection = psycopg.Connection[tuple[Any, ...]]
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
PIECE_BYTES = 256 * 1024
# A reader who stops reading must not hold a snapshot for ever.
LIMIT_S = 2 * 3600


class Stream:
    """One export: what it holds is settled before its first byte. Iterate it once; close it.

    newest: the id of its newest event, empty when it holds none. A failure while reading raises:
    who sends the pieces on must break off then, not end as if all had been sent.
    """

    def __init__(self, wanted: Filter, format: str) -> None:
        self.format = format
        self.content_type = FORMATS[format]
        rows = search.events(wanted).select_related(None)
        self._connection = snapshot()
        self._pieces: Iterator[bytes] | None = None
        try:
            self._begin(rows)
        except BaseException:
            self.close()
            raise
        ordered = rows.order_by("id")
        self._draw: Callable[[], Iterator[bytes]]
        if format == "csv":
            made = csv_rows.Rows()  # now, while the reader's language is the active one
            texts = len(csv_rows.TEXTS)
            self._draw = lambda: made.pieces(self._copy(csv_rows.select(ordered), texts))
        else:
            self._draw = lambda: _lines(self._copy(ordered.values_list("leaf"), 0))

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

    def _copy(self, rows: QuerySet[Event, Any], texts: int) -> Iterator[tuple[Any, ...]]:
        """The rows as COPY sends them: a leaf, and so many texts."""
        query, params = sql(rows)
        return copy(self._connection, query, params, ["bytea", *["text"] * texts])

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


def _lines(records: Iterator[tuple[Any, ...]]) -> Iterator[bytes]:
    size, lines = 0, []
    for (leaf,) in records:
        lines.append(leaf)
        size += len(leaf)
        if size >= PIECE_BYTES:
            yield b"\n".join([*lines, b""])
            size, lines = 0, []
    if lines:
        yield b"\n".join([*lines, b""])


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
