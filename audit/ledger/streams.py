"""Leaves and events as a verification reads them: page by page, in order, each once.

The database works on the next page while the caller does on this one, and psycopg makes all rows of
a page at once: one by one out of a COPY they take twice as long as hashing them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any
from uuid import UUID

from psycopg import errors, pq
from psycopg.adapt import Transformer

from audit.ledger.canonical import MAX_LEAF_BYTES
from audit.ledger.snapshot import Connection
from audit.ledger.walk import WIDTH

Row = tuple[Any, ...]
Pages = Generator[list[Row], None, None]
# A uuid as its sixteen bytes takes a fifth of the time of a UUID. What is NULL, or longer than an
# event may be, is none: nothing stands for it, which is not what was sealed.
LEAVES = """
SELECT position, uuid_send(coalesce(event_id, '{nobody}')), coalesce(leaf_hash, ''::bytea)
FROM ledger_leaf WHERE tree = {tree} AND position >= $1::bigint ORDER BY position LIMIT {most}
"""
EVENTS = """
SELECT uuid_send(id), CASE WHEN length({what}) <= {longest} THEN {what} ELSE ''::bytea END,
       uuid_send(boot), wseq
FROM ledger_event WHERE id >= $1::uuid ORDER BY id LIMIT {most}
"""
LAST_POSITION = 2**63 - 1
LAST_ID = 2**128 - 1
UNNAMED = b""
PAGE, TAKE = 1024, 64


def leaves(connection: Connection, tree: int, since: int) -> Pages:
    """Leaves from position `since` on in blocks of WIDTH: (position, event_id, leaf_hash) each."""

    def after(last: Row) -> str:
        return str(last[0] + 1) if last[0] < LAST_POSITION else ""

    query = LEAVES.format(tree=tree, most=PAGE, nobody=UUID(int=0))
    for page in _pages(connection, query, str(since), after):
        for begin in range(0, len(page), WIDTH):
            yield page[begin : begin + WIDTH]


def events(connection: Connection, since: str, *, hashed: bool) -> Pages:
    """Events from the id `since` on, a few at a time: (id, leaf or its stored hash, boot, wseq)."""

    def after(last: Row) -> str:
        number = int.from_bytes(last[0])
        return str(UUID(int=number + 1)) if number < LAST_ID else ""

    what = "leaf_hash" if hashed else "leaf"
    query = EVENTS.format(what=what, longest=MAX_LEAF_BYTES, most=PAGE)
    server = connection.pgconn
    for page in _pages(connection, query, since, after):
        for begin in range(0, len(page), TAKE):
            # Else the database waits for room to put the next page in.
            server.consume_input()
            yield page[begin : begin + TAKE]


def _pages(connection: Connection, query: str, begin: str, after: Callable[[Row], str]) -> Pages:
    """`$1` of the query is where a page begins: first `begin`, then what `after` says of the last
    row of the page before; empty ends it, as does a page without rows.

    Nothing else may be asked of the connection until it is closed. Raises psycopg.Error.
    """
    server, rows = connection.pgconn, Transformer(connection)

    def ask(begins: str) -> None:
        server.send_query_prepared(UNNAMED, [begins.encode()], result_format=pq.Format.BINARY)

    _checked(server.prepare(UNNAMED, query.encode()))
    ask(begin)
    try:
        # Where nothing was asked there is no result.
        while results := list(iter(server.get_result, None)):
            rows.set_pgresult(_checked(results[0]), format=pq.Format.BINARY)
            page = rows.load_rows(0, results[0].ntuples, tuple)
            if not page:
                return
            if following := after(page[-1]):
                ask(following)
            yield page
    finally:
        list(iter(server.get_result, None))


def _checked(result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise errors.error_from_result(result)
    return result
