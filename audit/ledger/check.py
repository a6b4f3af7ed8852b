"""Verification of the live log against what was signed, in one snapshot, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from typing import Any
from uuid import UUID

from audit.ledger import guards, streams
from audit.ledger.beside import Comparison, Found, Unfinished, shares
from audit.ledger.canonical import leaf_hash
from audit.ledger.certificate import Certificate, NotTrusted, trusted
from audit.ledger.checked_event import STORED
from audit.ledger.erased import ERASED, Erasures
from audit.ledger.note import BadNote, Checkpoint, PublicKey, open_note, read_checkpoint
from audit.ledger.removed import Removed
from audit.ledger.report import MOST, Report
from audit.ledger.sealing import LEVELS
from audit.ledger.snapshot import Connection, copied, snapshot
from audit.ledger.tree import HASHERS, SHA256, Edge
from audit.ledger.walk import Events, Head, Numbering, Walk

Row = tuple[Any, ...]
# An event that has waited longer than this is late; the sealer takes a second.
LATE_S = 120
BATCH = 10_000
PLACES = """
SELECT e.id, l.position, coalesce(l.leaf_hash, ''), t.hash, coalesce(e.leaf, ''),
       coalesce(e.leaf_hash, '') FROM ledger_event e
JOIN ledger_leaf l ON l.event_id = e.id JOIN ledger_tree t ON t.number = l.tree
WHERE e.id = ANY(%s::uuid[])
"""
CHANGED = "its bytes are not those that were sealed"
NOT_COMPARED = "what events are found by and opened with was not compared with their bytes"
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


class Stopped(Exception):
    """Whoever watches a verification wants it to stop."""


class Verification:
    """One verification. `run` does it; `report` says what it found.

    progress: called now and then with the number of leaves checked; it may raise Stopped.
    since: leaves of the newest tree before this position were verified before and are taken on the
    word of the signed head there. outside: checkpoints that others kept. beside: whether what
    events are found by and opened with is compared with their bytes, which takes most of the time.
    """

    def __init__(
        self,
        conninfo: str,
        certificate: Certificate | None,
        *,
        since: int = 0,
        outside: Sequence[str] = (),
        truncate_guards: bool = True,
        beside: bool = True,
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
        self._beside = beside

    def run(self) -> Report:
        with ExitStack() as stack:
            leaves = stack.enter_context(snapshot(self._conninfo, None))
            name = leaves.execute("SELECT pg_export_snapshot()").fetchone()
            events, erased = (
                stack.enter_context(snapshot(self._conninfo, str(name and name[0])))
                for _each in range(2)
            )
            self._erasures = Erasures(self.report, copied(erased, ERASED, ["bytea"] * 2 + ["text"]))
            self._removed = Removed(leaves, self.report)
            self._trust(leaves)
            trees = self._trees(leaves)
            for problem in guards.missing(leaves, truncate=self._truncate_guards):
                self.report.tampered(f"a guard of the log is gone: {problem}")
            self._walk(trees, leaves, events, str(name and name[0]))
            self._waiting(leaves)
            self._erasures.compare(leaves)
        if not self._beside:
            self.report.notes.append(NOT_COMPARED)
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

    def _walk(self, trees: list[Head], leaves: Connection, events: Connection, name: str) -> None:
        """The bytes here; what stands beside them, meanwhile, in processes of their own."""
        first = self._first_event(leaves, trees)
        total = sum(_size(leaves, tree.number) - tree.since for tree in trees)
        bounds = _bounds(leaves, trees, first, shares(total)) if self._beside else []
        numbering = Numbering(_numbers_before(leaves, first))
        # The hash that is stored with an event is SHA-256: what a tree of another hash says of its
        # bytes is seen here alone.
        hashed = self._beside and all(tree.edge.hasher is SHA256 for tree in trees)
        comparison = Comparison(self._conninfo, name, bounds, total)

        def progress(done: int) -> None:
            self._progress((done + comparison.done) // 2 if bounds else done)

        rows = streams.events(events, first, hashed=hashed)
        source = Events(rows, numbering)
        walk = Walk(source, self.report, self._removed, progress, hashed=hashed)
        try:
            with closing(rows):
                for tree in trees:
                    if tree is trees[-1] or not self.since:
                        with closing(streams.leaves(leaves, tree.number, tree.since)) as own:
                            walk.tree(tree, own)
                self._unsealed(leaves, source.rest())
            found = comparison.finish(lambda: progress(self.report.size))
        except Unfinished as error:
            found = Found()
            self.report.unable(str(error))
        finally:
            comparison.stop()
        self._tell_events(leaves, walk, found)
        for problem in numbering.problems(self._removed.missing):
            self.report.incomplete(problem)

    def _first_event(self, connection: Connection, trees: list[Head]) -> str:
        if not trees or not trees[-1].since:
            return FIRST
        row = connection.execute(
            "SELECT min(event_id::text) FROM ledger_leaf WHERE tree = %s AND position >= %s",
            [trees[-1].number, trees[-1].since],
        ).fetchone()
        return str(row[0]) if row and row[0] else FIRST

    def _tell_events(self, connection: Connection, walk: Walk, found: Found) -> None:
        """Of each event one problem, in the order of their positions."""
        changed = [UUID(bytes=event_id) for _position, event_id in walk.changed]
        beside = {UUID(pk): problem for pk, problem in found.problems}
        told = []
        places = connection.execute(PLACES, [[*changed[:MOST], *beside]]).fetchall()
        for pk, place, sealed, hash_name, leaf, stored in places:
            # Of what is not sealed nothing can be said yet.
            problem = beside.get(pk, CHANGED)
            if HASHERS[hash_name].leaf(bytes(leaf)) != bytes(sealed):
                problem = CHANGED
            elif leaf_hash(bytes(leaf)) != bytes(stored):
                problem = STORED
            told.append((place, f"leaf {place}, event {pk}: {problem}"))
        known = {pk for pk, *_rest in places}
        also = len(known - set(changed))
        if found.found > len(beside):
            also = max(also, found.found - walk.changed_count)
        if also and not told:
            told.append((0, f"{also} events: what stands beside their bytes says something else"))
        self.report.events -= min(self.report.events, also)
        self.report.tampered_events(
            [text for _place, text in sorted(told)], walk.changed_count + also
        )

    def _unsealed(self, connection: Connection, left: Iterator[bytes]) -> None:
        """What is left over has no leaf: it must wait for the sealer."""
        while ids := [UUID(bytes=event_id) for event_id in islice(left, BATCH)]:
            if self.since:
                continue  # Read to its end all the same: their numbers are counted.
            waiting = {
                event_id
                for (event_id,) in connection.execute(
                    "SELECT event_id FROM ledger_pending WHERE event_id = ANY(%s)", [ids]
                )
            }
            for event_id in ids:
                if event_id not in waiting:
                    self.report.incomplete(
                        f"event {event_id} is not sealed and does not wait for it"
                    )

    def _waiting(self, connection: Connection) -> None:
        row = connection.execute(WAITING, [LATE_S]).fetchone()
        count, late = row or (0, 0)
        if count:
            self.report.notes.append(f"{count} events wait to be sealed")
        if late:
            self.report.incomplete(
                f"{late} events have waited for the sealer for more than {LATE_S} seconds"
            )


def _size(connection: Connection, tree: int) -> int:
    row = connection.execute(
        "SELECT coalesce(max(position), -1) FROM ledger_leaf WHERE tree = %s", [tree]
    ).fetchone()
    return int(row[0]) + 1 if row else 0


def _bounds(connection: Connection, trees: list[Head], first: str, count: int) -> list[str]:
    """Ids that share the events out, about as many to each; the last has no end."""
    found = {first}
    if trees and count > 1:
        tree = max(trees, key=lambda tree: _size(connection, tree.number))
        size = _size(connection, tree.number)
        at = [tree.since + (size - tree.since) * part // count for part in range(1, count)]
        rows = connection.execute(
            "SELECT event_id::text FROM ledger_leaf WHERE tree = %s AND position = ANY(%s)",
            [tree.number, at],
        )
        found |= {event_id for (event_id,) in rows if event_id > first}
    return [*sorted(found), ""]


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
