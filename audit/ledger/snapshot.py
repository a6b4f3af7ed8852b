"""Connections that see the database as it was at one moment, and rows that are copied out of it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = Generator[tuple[Any, ...], None, None]


def snapshot(conninfo: str, name: str | None) -> Connection:
    """A read-only transaction: a new one, or one that sees what the one of that name does. Who
    keeps a table locked from it makes it end with psycopg.errors.LockNotAvailable."""
    connection = psycopg.connect(conninfo, application_name="fusebox-verify")
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.execute("SET lock_timeout = '30s'")
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
