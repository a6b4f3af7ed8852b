"""Connections that see the database as it was at one moment, and rows that are copied out of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import psycopg
from psycopg import errors, pq

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = Generator[tuple[Any, ...], None, None]
HEADER_BYTES = 19
END = b"\xff\xff"


def snapshot(conninfo: str, name: str | None) -> Connection:
    """A read-only transaction: a new one, or one that sees what the one of that name does."""
    connection = psycopg.connect(conninfo, application_name="fusebox-verify")
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    if name:
        connection.execute(f"SET TRANSACTION SNAPSHOT '{name}'")
    # Streams follow an index; nothing may be gathered and sorted first.
    connection.execute("SELECT set_config(n, 'off', true) FROM unnest(%s::text[]) AS n",
                       [["enable_hashjoin", "enable_sort", "enable_seqscan"]])  # fmt: skip
    return connection


def copied(connection: Connection, query: str, types: Sequence[str]) -> Rows:
    """The rows of a binary COPY; close it before the connection if it was not read to its end. A
    uuid read as bytea is its sixteen bytes: a fifth of the time of a UUID."""
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(types)
        yield from copy.rows()


def parsed(connection: Connection, query: str, parse: Callable[[bytes], tuple[Any, ...]]) -> Rows:
    """As `copied`, of a query that runs for long: its rows as libpq hands them out, each made a
    tuple by `parse`. psycopg takes as long for a row as it takes to hash it three times."""
    server = connection.pgconn
    begun = server.exec_(query.encode())
    if begun.status != pq.ExecStatus.COPY_OUT:
        raise errors.error_from_result(begun)
    read, ended = server.get_copy_data, False
    try:
        size, data = read(0)
        # The header comes with the first row.
        row = bytes(data)[HEADER_BYTES:]
        while size >= 0:
            if row and row != END:
                yield parse(row)
            size, data = read(0)
            row = bytes(data)
        ended = True
    finally:
        if not ended:
            server.get_cancel().cancel()
            while read(0)[0] >= 0:
                pass
        results = list(iter(server.get_result, None))
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result)
