"""Where trees begin and where they end.

What no signature covers can be written by anybody with the database: so a tree begins as a sealer
begins one, has a signed head, and does not go on for long after its last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

from audit.ledger import incidents
from audit.ledger.acts import Act
from audit.ledger.canonical import MAX_LEAF_BYTES, moment, read
from audit.ledger.report import Report
from audit.ledger.snapshot import Connection
from audit.ledger.walk import Head

# A sealer signs once a minute, when there are a thousand new leaves, and as soon as it begins.
UNSIGNED = timedelta(minutes=15)
UNSIGNED_LEAVES = 50_000
# The first head is signed as soon as there is a leaf.
FIRST = timedelta(seconds=10)
AT = """
SELECT CASE WHEN length(e.leaf) <= %s THEN e.leaf ELSE '' END
FROM ledger_leaf l LEFT JOIN ledger_event e ON e.id = l.event_id
WHERE l.tree = %s AND l.position = %s
"""
ACKNOWLEDGED = """
SELECT count(DISTINCT actor_id) FROM ledger_event
WHERE act = %s AND object_id = %s AND actor_id = ANY(%s::text[])
"""


def size_of(connection: Connection, tree: int) -> int:
    row = connection.execute(
        "SELECT coalesce(max(position), -1) FROM ledger_leaf WHERE tree = %s", [tree]
    ).fetchone()
    return int(row[0]) + 1 if row else 0


def check(connection: Connection, trees: Sequence[Head], report: Report) -> None:
    """After the walk, which has compared the heads: of what came before `since` nothing is said."""
    if trees and trees[0].number > 1:
        report.incomplete(f"the tree {trees[0].number} is the first; the ones before it are gone")
    for before, tree in pairwise(trees):
        _begins(connection, before, tree, report)
    for tree in trees:
        if not trees[-1].since or tree is trees[-1]:
            _signed(connection, tree, report, newest=tree is trees[-1])


def _begins(connection: Connection, before: Head, tree: Head, report: Report) -> None:
    """A further tree follows a rollback that two people have acknowledged, and says so."""
    leaf = _leaf_at(connection, tree.number, 0)
    if not leaf and (tree.heads or leaf is not None):
        return  # It is missing, which is said elsewhere.
    first = read(leaf or b"")
    said = first.get("details")
    if first.get("act") != Act.AUDIT_NEW_TREE or not isinstance(said, dict):
        report.tampered(f"{tree.origin} does not begin with what a new tree begins with")
        return
    if tree.number != before.number + 1:
        told = (said.get("signed_tree"), said.get("found_tree"))
        if told != (tree.number - 1, before.number):
            report.tampered(f"there is no tree between {before.origin} and {tree.origin}")
    people = said.get("acknowledged_by")
    row = connection.execute(
        ACKNOWLEDGED,
        [
            Act.AUDIT_ACKNOWLEDGE.value,
            str(incidents.incident_of(said)),
            [str(person) for person in people] if isinstance(people, list) else [],
        ],
    ).fetchone()
    if not row or row[0] < incidents.PEOPLE:
        report.incomplete(
            f"{tree.origin} was begun after a rollback; the log does not have that "
            f"{incidents.PEOPLE} people acknowledged it"
        )
    else:
        _given_up(size_of(connection, before.number), before, said, report)


def _given_up(size: int, before: Head, said: Mapping[str, Any], report: Report) -> None:
    """What the people who acknowledged a rollback were told, against what is there."""
    signed, found = said.get("signed_size"), said.get("found_size")
    if not isinstance(signed, int) or not isinstance(found, int):
        return
    if said.get("signed_tree") == said.get("found_tree") == before.number:
        if size != found:
            report.incomplete(
                f"{before.origin} had {found} leaves when the rollback was acknowledged; "
                f"{size} are there"
            )
        if signed > found:
            report.notes.append(
                f"the leaves {found} to {signed - 1} of {before.origin} were given up, as "
                "acknowledged"
            )
    elif said.get("signed_tree") != before.number:
        report.notes.append(
            f"a tree {said.get('signed_tree')} with {signed} leaves was given up after "
            f"{before.origin}, as acknowledged"
        )


def _signed(connection: Connection, tree: Head, report: Report, *, newest: bool) -> None:
    """Whether what is under no signature is as little, and as young, as a sealer leaves it."""
    size, signed = size_of(connection, tree.number), max(tree.heads, default=0)
    if size <= signed:
        return
    first = moment(_leaf_at(connection, tree.number, signed) or b"")
    last = moment(_leaf_at(connection, tree.number, size - 1) or b"")
    if newest:
        [[last]] = connection.execute("SELECT now()").fetchall()
    # Where an event is not there, that is said elsewhere.
    age = last - first if first and last else timedelta()
    if not tree.heads and (age > FIRST or not newest):
        report.incomplete(f"{tree.origin} has {size} leaves and no signed head")
    elif age > UNSIGNED or size - signed > UNSIGNED_LEAVES:
        since = f", the first of them of {first:%Y-%m-%d %H:%M} UTC" if first else ""
        report.incomplete(
            f"{size - signed} leaves of {tree.origin} came after the last signed head, at "
            f"{signed} leaves{since}"
        )
    else:
        report.notes.append(
            f"the last {size - signed} events of {tree.origin} are not yet under a signature"
        )


def _leaf_at(connection: Connection, tree: int, position: int) -> bytes | None:
    """The bytes of an event; none where it is missing, None where its leaf is, too."""
    row = connection.execute(AT, [MAX_LEAF_BYTES, tree, position]).fetchone()
    return bytes(row[0] or b"") if row else None
