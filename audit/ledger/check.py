"""Verification of the live log against what was signed, in one snapshot, in constant memory.

Leaves come in the order of their positions, events in the order of their ids; both are nearly the
same order, so that a leaf finds its event after a few steps and nothing is joined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from audit.ledger import guards
from audit.ledger.certificate import Certificate, NotTrusted, trusted
from audit.ledger.checked_event import Numbering, columns_of, problem_of
from audit.ledger.erased import ERASED, Erasures
from audit.ledger.note import BadNote, Checkpoint, PublicKey, open_note, read_checkpoint
from audit.ledger.removed import Removed
from audit.ledger.report import Report
from audit.ledger.sealing import LEVELS
from audit.ledger.tree import HASHERS, Edge, Hasher

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...]
# An event that has waited longer than this is late; the sealer takes a second.
LATE_S = 120
STEP = 1000
LEAVES = """
COPY (SELECT position, event_id, leaf_hash FROM ledger_leaf
      WHERE tree = {tree} AND position >= {since} ORDER BY position) TO STDOUT (FORMAT binary)
"""
EVENTS = """
COPY (SELECT e.id, e.leaf, e.leaf_hash, e.boot, e.wseq, {columns}, p.key, p."values"::text, p.ip
      FROM ledger_event e LEFT JOIN ledger_personal p ON p.event_id = e.id
      WHERE e.id >= '{since}' ORDER BY e.id) TO STDOUT (FORMAT binary)
"""
WAITING = """
SELECT count(*), count(*) FILTER (WHERE created_at < now() - %s * interval '1 s') FROM (
    SELECT e.created_at FROM ledger_pending p LEFT JOIN ledger_event e ON e.id = p.event_id
    UNION ALL SELECT created_at FROM ledger_intake) AS waiting
"""
NUMBERS_BEFORE = """
SELECT later.boot, (SELECT e.wseq FROM ledger_event e WHERE e.boot = later.boot
                    AND e.wseq IS NOT NULL AND e.id < %(first)s ORDER BY e.wseq DESC LIMIT 1)
FROM (SELECT DISTINCT boot FROM ledger_event WHERE id >= %(first)s AND boot IS NOT NULL) AS later
"""
FIRST = "00000000-0000-0000-0000-000000000000"


@dataclass
class Head:
    """A tree as the database knows it, and the heads that it must have had."""

    number: int
    origin: str
    edge: Edge
    since: int = 0
    heads: dict[int, list[bytes]] = field(default_factory=dict)
    subtrees: dict[tuple[int, int], bytes] = field(default_factory=dict)


class Stopped(Exception):
    """Whoever watches a verification wants it to stop."""


class Verification:
    """One verification. `run` does it; `report` says what it found.

    progress: called now and then with the number of leaves checked; it may raise Stopped.
    since: leaves of the newest tree before this position were verified before and are taken on the
    word of the signed head there. outside: checkpoints that others kept.
    """

    def __init__(
        self,
        conninfo: str,
        certificate: Certificate | None,
        *,
        since: int = 0,
        outside: Sequence[str] = (),
        truncate_guards: bool = True,
        progress: Callable[[int], None] = lambda _done: None,
    ) -> None:
        self.report = Report()
        self.since = since
        self._conninfo = conninfo
        self._certificate = certificate
        self._outside = outside
        self._truncate_guards = truncate_guards
        self._progress = progress
        self._keys: list[PublicKey] = []
        self._numbering = Numbering()

    def run(self) -> Report:
        with ExitStack() as stack:
            leaves = stack.enter_context(_snapshot(self._conninfo, None))
            name = leaves.execute("SELECT pg_export_snapshot()").fetchone()
            events, erased = (
                stack.enter_context(_snapshot(self._conninfo, str(name and name[0])))
                for _each in range(2)
            )
            self._erasures = Erasures(self.report, _copy(erased, ERASED, ["bytea"] * 2 + ["text"]))
            self._removed = Removed(leaves, self.report)
            self._trust(leaves)
            trees = self._trees(leaves)
            for problem in guards.missing(leaves, truncate=self._truncate_guards):
                self.report.tampered(f"a guard of the log is gone: {problem}")
            self._walk(trees, leaves, events)
            self._waiting(leaves)
            self._erasures.compare(leaves)
        for problem in self._numbering.problems(self._removed.missing):
            self.report.incomplete(problem)
        return self.report

    def _trust(self, connection: Connection) -> None:
        found = connection.execute("SELECT vkey, endorsement FROM ledger_signingkey ORDER BY id")
        try:
            self._keys = trusted(self._certificate, found.fetchall())
        except NotTrusted as error:
            self.report.unable(str(error))
        except BadNote as error:
            self.report.tampered(f"the chain of signing keys is broken: {error}")

    def _trees(self, connection: Connection) -> list[Head]:
        trees = [
            Head(number, origin, Edge(HASHERS[hash_name]))
            for number, origin, hash_name in connection.execute(
                "SELECT number, origin, hash FROM ledger_tree ORDER BY number"
            ).fetchall()
        ]
        if not trees:
            self.report.incomplete("nothing was ever sealed")
            return []
        self.report.origin = trees[-1].origin
        for tree in trees:
            self._signed_heads(connection, tree)
            for level, index, root in connection.execute(
                "SELECT level, index, root FROM ledger_subtree WHERE tree = %s", [tree.number]
            ):
                tree.subtrees[level, index] = bytes(root)
        for note in self._outside:
            self._outside_head(trees, note)
        if self.since:
            self._begin_later(trees[-1])
        return trees

    def _signed_heads(self, connection: Connection, tree: Head) -> None:
        for size, root, note in connection.execute(
            "SELECT size, root, note FROM ledger_checkpoint WHERE tree = %s ORDER BY id",
            [tree.number],
        ):
            checkpoint = self._open(note, f"the checkpoint at {size} leaves")
            if checkpoint is None:
                continue
            if (checkpoint.origin, checkpoint.size, checkpoint.root) != (
                tree.origin, size, bytes(root),
            ):  # fmt: skip
                self.report.tampered(f"the checkpoint at {size} leaves is not what was signed")
            tree.heads.setdefault(checkpoint.size, []).append(checkpoint.root)
            self.report.checkpoints += 1

    def _outside_head(self, trees: list[Head], note: str) -> None:
        checkpoint = self._open(note, "a checkpoint kept outside")
        if checkpoint is None:
            return
        tree = next((t for t in trees if t.origin == checkpoint.origin), None)
        if tree is None:
            self.report.incomplete(
                f"{checkpoint.origin} was signed with {checkpoint.size} leaves; the database has "
                "no such tree"
            )
            return
        tree.heads.setdefault(checkpoint.size, []).append(checkpoint.root)
        self.report.checkpoints += 1

    def _open(self, note: str, what: str) -> Checkpoint | None:
        if not self._keys:
            return None
        try:
            return read_checkpoint(open_note(note, self._keys))
        except BadNote as error:
            self.report.tampered(f"{what}: {error}")
            return None

    def _begin_later(self, tree: Head) -> None:
        """Begin after the largest stored subtrees before `since`: the next signed head is compared
        with a root that they are part of."""
        edge = Edge(tree.edge.hasher)
        for level, index in _levels(self.since):
            root = tree.subtrees.get((level, index))
            if root is None:
                break
            edge.append(root, level)
        if edge.size and any(size >= edge.size for size in tree.heads):
            tree.edge, tree.since = edge, edge.size
        else:
            self.report.notes.append("verified from the beginning")

    # --- leaves and events --------------------------------------------------------------------

    def _walk(self, trees: list[Head], leaves: Connection, events: Connection) -> None:
        first = self._first_event(leaves, trees)
        self._numbering = Numbering(_numbers_before(leaves, first))
        source = self._erasures.beside(_events(events, first))
        known: dict[bytes, Row] = {}
        for tree in trees:
            if tree is trees[-1] or not self.since:
                self._walk_tree(tree, _leaves(leaves, tree), source, known)
        for row in source:
            self._count(row)
            known[row[0]] = row
        self._unsealed(leaves, known)

    def _first_event(self, connection: Connection, trees: list[Head]) -> str:
        if not trees or not trees[-1].since:
            return FIRST
        row = connection.execute(
            "SELECT min(event_id::text) FROM ledger_leaf WHERE tree = %s AND position >= %s",
            [trees[-1].number, trees[-1].since],
        ).fetchone()
        return str(row[0]) if row and row[0] else FIRST

    def _walk_tree(
        self, tree: Head, leaves: Iterator[Row], source: Iterator[Row], known: dict[bytes, Row]
    ) -> None:
        edge, report = tree.edge, self.report
        for position, event_id, leaf_hash in leaves:
            if position != edge.size:
                report.incomplete(f"leaf {edge.size} of {tree.origin} is missing")
                return
            row = known.pop(event_id, None)
            if row is None and self._removed.covers(tree.number, position):
                report.removed += 1
            else:
                row = row or self._find(event_id, source, known)
                self._compare_event((position, event_id, leaf_hash), edge.hasher, row)
            for level, index, root in edge.append(leaf_hash):
                if level in LEVELS and tree.subtrees.get((level, index)) != root:
                    report.tampered(f"the stored subtree {level}/{index} is not what it should be")
            if edge.size in tree.heads:
                self._compare(tree)
            if not edge.size % STEP:
                self._progress(report.size + edge.size)
        report.size += edge.size
        for size in tree.heads:
            if size > edge.size:
                report.incomplete(
                    f"{tree.origin} was signed with {size} leaves; {edge.size} are there"
                )

    def _compare_event(self, leaf: Row, hasher: Hasher, row: Row | None) -> None:
        position, event_id, leaf_hash = leaf
        problem = problem_of(row, hasher, leaf_hash) if row else ""
        if row and not problem:
            self.report.events += 1
            return
        name = f"leaf {position}, event {UUID(bytes=event_id)}"
        if problem:
            self.report.tampered(f"{name}: {problem}")
        else:
            self.report.incomplete(f"the event of {name}, is missing")

    def _compare(self, tree: Head) -> None:
        root = tree.edge.root()
        if any(head != root for head in tree.heads[tree.edge.size]):
            self.report.tampered(
                f"the first {tree.edge.size} leaves of {tree.origin} are not those that were signed"
            )

    def _find(self, event_id: bytes, source: Iterator[Row], known: dict[bytes, Row]) -> Row | None:
        for row in source:
            self._count(row)
            if row[0] == event_id:
                return row
            known[row[0]] = row
        return None

    def _count(self, row: Row) -> None:
        if row[3] is not None:
            self._numbering.count(row[3], row[4], row[1])

    def _unsealed(self, connection: Connection, known: dict[bytes, Row]) -> None:
        """What is left over has no leaf: it must wait for the sealer."""
        if not known or self.since:
            return
        ids = [UUID(bytes=event_id) for event_id in known]
        waiting = {
            event_id
            for (event_id,) in connection.execute(
                "SELECT event_id FROM ledger_pending WHERE event_id = ANY(%s)", [ids]
            )
        }
        for event_id in ids:
            if event_id not in waiting:
                self.report.incomplete(f"event {event_id} is not sealed and does not wait for it")

    def _waiting(self, connection: Connection) -> None:
        row = connection.execute(WAITING, [LATE_S]).fetchone()
        count, late = row or (0, 0)
        if count:
            self.report.notes.append(f"{count} events wait to be sealed")
        if late:
            self.report.incomplete(
                f"{late} events have waited for the sealer for more than {LATE_S} seconds"
            )


def _numbers_before(connection: Connection, first: str) -> dict[bytes, int]:
    """How many numbers each process had given before the event that a verification begins at."""
    if first == FIRST:
        return {}
    found = connection.execute(NUMBERS_BEFORE, {"first": first}).fetchall()
    return {boot.bytes: last + 1 for boot, last in found if last is not None}


def _levels(size: int) -> Iterator[tuple[int, int]]:
    """The largest stored subtrees that cover the first leaves, as far as they go."""
    begin = 0
    for level in reversed(LEVELS):
        while begin + (1 << level) <= size:
            yield level, begin >> level
            begin += 1 << level


def _snapshot(conninfo: str, name: str | None) -> Connection:
    connection = psycopg.connect(conninfo, application_name="fusebox-verify")
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    if name:
        connection.execute(f"SET TRANSACTION SNAPSHOT '{name}'")
    # Both streams follow an index; nothing may be gathered and sorted first.
    connection.execute("SELECT set_config(n, 'off', true) FROM unnest(%s::text[]) AS n",
                       [["enable_hashjoin", "enable_sort", "enable_seqscan"]])  # fmt: skip
    return connection


def _leaves(connection: Connection, tree: Head) -> Iterator[Row]:
    return _copy(
        connection, LEAVES.format(tree=tree.number, since=tree.since), ["int8", "bytea", "bytea"]
    )


def _events(connection: Connection, since: str) -> Iterator[Row]:
    types = ["bytea", "bytea", "bytea", "bytea", "int8", "text", "bytea", "text", "text"]
    return _copy(connection, EVENTS.format(columns=columns_of(), since=UUID(since)), types)


def _copy(connection: Connection, query: str, types: list[str]) -> Iterator[Row]:
    # A uuid read as bytea is its sixteen bytes: a fifth of the time of a UUID.
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(types)
        yield from copy.rows()
