"""Requests that were admitted by a process which then died: the sealer ends them.

A process that admits says every few seconds that it lives. One that was silent for a minute is
closed; should it only have slept, it finds itself fenced (ledger.group_commit), so that no request
ends twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from audit.ledger import rows
from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
from audit.ledger.canonical import read
from audit.ledger.event import Draft, Event, Obj, build

logger = logging.getLogger(__name__)

Connection = psycopg.Connection[tuple[Any, ...]]
SILENT = timedelta(seconds=60)
AT_ONCE = 5000
# A database that was away itself heard nobody.
SILENT_PROCESSES = """
SELECT boot FROM ledger_process
WHERE closed_at IS NULL AND beat_at < now() - %s
  AND pg_postmaster_start_time() < now() - %s
"""
# Of a request id that came twice, as many are open as ends are missing; the last ones.
OPEN = """
WITH request AS (
    SELECT id, act, request_id,
           row_number() OVER (PARTITION BY request_id, act ORDER BY id DESC) AS back,
           count(*) FILTER (WHERE act = 'inference.admitted') OVER same
           - count(*) FILTER (WHERE act <> 'inference.admitted') OVER same AS missing
    FROM ledger_event
    WHERE boot = %s AND act = ANY('{inference.admitted,inference.completed,inference.aborted}')
    WINDOW same AS (PARTITION BY request_id)
)
SELECT event.id, event.leaf, coalesce(personal."values" ->> 'src.ip', ''),
    coalesce(personal."values" ->> 'src.ua', ''), coalesce(personal."values" ->> 'actor.name', '')
FROM request
JOIN ledger_event AS event ON event.id = request.id
LEFT JOIN ledger_personal AS personal ON personal.event_id = event.id
WHERE request.act = 'inference.admitted' AND request.back <= request.missing
ORDER BY request.id
"""
# Whoever has the web's role can store anything as an event.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
Found = tuple[UUID, bytes, str, str, str]


def close_silent(connection: Connection, log: str) -> int:
    """Close processes that fell silent and end what they left open. Returns how many requests.

    What cannot be read or stored of one is logged and keeps nobody else open.
    """
    closed = 0
    for (boot,) in connection.execute(SILENT_PROCESSES, [SILENT, SILENT]).fetchall():
        try:
            closed += _close(connection, boot, log)
        except psycopg.Error as error:
            if connection.broken:
                raise
            logger.error("the silent process %s cannot be closed yet: %s", boot, error)
    return closed


def _close(connection: Connection, boot: UUID, log: str) -> int:
    with connection.transaction():
        # Waits for what the process is storing; after this it can store no more.
        closed = connection.execute(
            "UPDATE ledger_process SET closed_at = now()"
            " WHERE boot = %s AND closed_at IS NULL AND beat_at < now() - %s RETURNING 1",
            [boot, SILENT],
        ).fetchone()
        if closed is None:
            return 0
        while (connection.execute(rows.FILE, [AT_ONCE]).fetchone() or (0,))[0]:
            pass
        ends = list(_ends(connection.execute(OPEN, [boot]).fetchall(), log))
        return _store(connection, ends)


def _ends(found: Sequence[Found], log: str) -> Iterator[Event]:
    for event_id, leaf, ip, agent, name in found:
        try:
            end = _end(read(bytes(leaf)), ip, agent, name, log)
            list(rows.inserts([end]))
        except UNREADABLE as error:
            logger.error("the admission %s cannot be ended: %r", event_id, error)
        else:
            yield end


def _store(connection: Connection, ends: Sequence[Event]) -> int:
    """All of them; when the database refuses, each that it takes. Returns how many."""
    if not ends:
        return 0
    try:
        with connection.transaction():
            for statement, arrays in rows.inserts(ends):
                connection.execute(statement, arrays)
    except psycopg.Error as error:
        if connection.broken:
            raise
        if len(ends) > 1:
            return sum(_store(connection, [end]) for end in ends)
        admitted = ends[0].draft.details["admitted"]
        logger.error("the admission %s cannot be ended: %s", admitted, error)
        return 0
    return len(ends)


def _end(leaf: dict[str, Any], ip: str, agent: str, name: str, log: str) -> Event:
    actor, request = leaf.get("actor", {}), leaf.get("req", {})
    origin = Origin(
        ip=ip, user_agent=agent,
        request_id=request.get("id", ""), method=request.get("method", ""),
        route=request.get("route", ""), session=actor.get("session", ""),
    )  # fmt: skip
    who = Actor(
        ActorKind(actor["type"]), actor["id"], name,
        actor.get("role", ""), actor.get("key", ""), origin,
    )  # fmt: skip
    objects = [Obj(o["type"], o["id"], o.get("label", "")) for o in leaf.get("obj", [])]
    draft = Draft(
        who, Act.INFERENCE_ABORTED, objects, outcome="aborted",
        reason="orphan: the process that answered it ended",
        permission=leaf.get("authz", {}).get("permission", ""), ai=leaf.get("ai", {}),
        details={"admitted": leaf["id"]},
    )  # fmt: skip
    return build(draft, log=log)
