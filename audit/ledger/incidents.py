"""When the database knows less than the sealer has signed: nothing is signed until two people said
that they have seen it. Also what the sealer tells the console of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import psycopg

from audit.ledger.custody import Head

Connection = psycopg.Connection[tuple[Any, ...]]
PEOPLE = 2
# A row alone is nobody's word: the log must say it, too.
ACKNOWLEDGED = """
SELECT DISTINCT a.person_id FROM ledger_acknowledgement a
WHERE a.incident = %s AND EXISTS (
    SELECT FROM ledger_event e WHERE e.act = 'audit.acknowledge' AND e.outcome = 'success'
        AND e.actor_id = a.person_id::text AND e.object_id = a.incident::text)
"""


@dataclass(frozen=True, slots=True)
class Incident:
    """A rollback: what was signed, what is there. `id` is the same however often it is found."""

    id: UUID
    problem: str
    signed_tree: int
    signed_size: int
    signed_note: str
    found_tree: int
    found_size: int

    @property
    def next_tree(self) -> int:
        return max(self.signed_tree, self.found_tree) + 1


def found(connection: Connection, head: Head | None, newest_tree: int) -> Incident | None:
    """Whether the database is behind the sealer's own record, or the record itself is gone.

    newest_tree: number of the newest tree in the database, 0 for none.
    """
    size = _size(connection, newest_tree)
    if head is None:
        problem = (
            f"The sealer's own record is gone. The database has {size} sealed events, and nobody "
            "can say whether it had more."
        )
        return _incident(problem, None, newest_tree, size)
    if head.tree > newest_tree and head.edge.size == 0:
        return None  # its tree is about to be planted
    if head.tree != newest_tree or size < head.edge.size:
        problem = (
            f"The sealer signed {head.edge.size} events of {head.origin}; the database has {size} "
            "of them. An old backup was restored, or events were deleted."
        )
        return _incident(problem, head, newest_tree, size if head.tree == newest_tree else 0)
    return None


def _incident(problem: str, head: Head | None, tree: int, size: int) -> Incident:
    signed_tree, signed_size = (head.tree, head.edge.size) if head else (tree, 0)
    note = head.note if head else ""
    return Incident(
        _id(signed_tree, signed_size, tree, size, note), problem, signed_tree, signed_size,
        note, tree, size,
    )  # fmt: skip


def _id(*parts: object) -> UUID:
    return uuid5(NAMESPACE_OID, ":".join(map(str, parts)))


def incident_of(said: Mapping[str, Any]) -> UUID:
    """Which incident the first leaf of a further tree is about, from what it says."""
    names = ("signed_tree", "signed_size", "found_tree", "found_size", "signed_note")
    return _id(*(said.get(name) for name in names))


def _size(connection: Connection, tree: int) -> int:
    row = connection.execute(
        "SELECT max(position) + 1 FROM ledger_leaf WHERE tree = %s", [tree]
    ).fetchone()
    return int(row[0] or 0) if row else 0


def acknowledged(connection: Connection, incident: Incident) -> dict[str, Any] | None:
    """What the first leaf of the next tree says, once enough people have acknowledged."""
    people = connection.execute(ACKNOWLEDGED, [incident.id]).fetchall()
    if len(people) < PEOPLE:
        return None
    return {
        "problem": incident.problem,
        "signed_tree": incident.signed_tree,
        "signed_size": incident.signed_size,
        "signed_note": incident.signed_note,
        "found_tree": incident.found_tree,
        "found_size": incident.found_size,
        "acknowledged_by": sorted(str(person) for (person,) in people),
    }


def tell(connection: Connection, head: Head | None, incident: Incident | None) -> None:
    """Keep the sealer's one row up to date."""
    connection.execute(
        "INSERT INTO ledger_sealer (id, state, problem, incident, tree, size, beat_at)"
        " VALUES (1, %(state)s, %(problem)s, %(incident)s, %(tree)s, %(size)s, now())"
        " ON CONFLICT (id) DO UPDATE SET state = excluded.state, problem = excluded.problem,"
        " incident = excluded.incident, tree = excluded.tree, size = excluded.size,"
        " beat_at = excluded.beat_at",
        {
            "state": "rollback" if incident else "sealing",
            "problem": incident.problem if incident else "",
            "incident": incident.id if incident else None,
            "tree": head.tree if head else 0,
            "size": head.edge.size if head else 0,
        },
    )


def tell_broken(connection: Connection, problem: str) -> None:
    """The sealer cannot trust its own files, or what the database says was signed."""
    connection.execute(
        "INSERT INTO ledger_sealer (id, state, problem, tree, size, beat_at)"
        " VALUES (1, 'broken', %s, 0, 0, now())"
        " ON CONFLICT (id) DO UPDATE SET state = 'broken', problem = excluded.problem,"
        " incident = NULL, beat_at = excluded.beat_at",
        [problem],
    )
