"""Connections that see the database as it was at one moment, and rows that are copied out of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import psycopg
from psycopg import errors, pq

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = Generator[tuple[Any, ...], None, None]
HEADER_BYTES = 19
END_BYTES = 2


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


def parsed(
    connection: Connection, query: str, parse: Callable[[memoryview], tuple[Any, ...]]
) -> Rows:
    """As `copied`, of a query that runs for long: its rows as libpq hands them out, each made a
    tuple by `parse`. psycopg takes as long for a row as it takes to hash it three times. Closed
    before its end it is called off, and the transaction goes on."""
    server = connection.pgconn
    connection.execute("SAVEPOINT parsed")
    begun = server.exec_(query.encode())
    if begun.status != pq.ExecStatus.COPY_OUT:
        raise errors.error_from_result(begun)
    read, ended = server.get_copy_data, False
    try:
        size, row = read(0)
        # The header comes with the first row.
        row = row[HEADER_BYTES:]
        while size >= 0:
            if len(row) > END_BYTES:
                yield parse(row)
            size, row = read(0)
        ended = True
    finally:
        if not ended:
            server.get_cancel().cancel()
            while read(0)[0] >= 0:
                pass
        results = list(iter(server.get_result, None))
        if not ended:
            connection.execute("ROLLBACK TO SAVEPOINT parsed")
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result)
