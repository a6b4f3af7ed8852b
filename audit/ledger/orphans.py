"""Requests that were admitted by a process which then died: the sealer ends them.

A process that admits says every few seconds that it lives. One that was silent for a minute is
closed; should it only have slept, it finds itself fenced (ledger.group_commit), so that no request
ends twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from audit.ledger import rows
from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
from audit.ledger.canonical import read
from audit.ledger.event import Draft, Event, Obj, build

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
SELECT event.leaf, personal."values" FROM request
JOIN ledger_event AS event ON event.id = request.id
LEFT JOIN ledger_personal AS personal ON personal.event_id = event.id
WHERE request.act = 'inference.admitted' AND request.back <= request.missing
ORDER BY request.id
"""


def close_silent(connection: Connection, log: str) -> int:
    """Close processes that fell silent and end what they left open. Returns how many requests."""
    silent = connection.execute(SILENT_PROCESSES, [SILENT, SILENT]).fetchall()
    return sum(_close(connection, boot, log) for (boot,) in silent)


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
        found = connection.execute(OPEN, [boot]).fetchall()
        ends = [_end(read(bytes(leaf)), values or {}, log) for leaf, values in found]
        if ends:
            for statement, arrays in rows.inserts(ends):
                connection.execute(statement, arrays)
        return len(ends)


def _end(leaf: dict[str, Any], personal: dict[str, str], log: str) -> Event:
    actor, request = leaf.get("actor", {}), leaf.get("req", {})
    origin = Origin(
        ip=personal.get("src.ip", ""), user_agent=personal.get("src.ua", ""),
        request_id=request.get("id", ""), method=request.get("method", ""),
        route=request.get("route", ""), session=actor.get("session", ""),
    )  # fmt: skip
    who = Actor(
        ActorKind(actor["type"]), actor["id"], personal.get("actor.name", ""),
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
