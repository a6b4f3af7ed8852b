"""Verification of the live log against what was signed, in one snapshot, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Any
from uuid import UUID

from audit.ledger import ends, guards, loose, streams
from audit.ledger.beside import Comparison, Found, Unfinished, shares
from audit.ledger.canonical import MAX_LEAF_BYTES, leaf_hash
from audit.ledger.certificate import Certificate, NotTrusted, trusted
from audit.ledger.checked_event import STORED
from audit.ledger.ends import size_of
from audit.ledger.erased import ERASED, Erasures
from audit.ledger.note import BadNote, PublicKey
from audit.ledger.removed import Removed
from audit.ledger.report import MOST, Report
from audit.ledger.snapshot import Connection, copied, snapshot
from audit.ledger.tree import HASHERS, SHA256
from audit.ledger.trees import Kept, Trees
from audit.ledger.walk import Events, Head, Numbering, Walk

Row = tuple[Any, ...]
PLACES = """
SELECT e.id, l.position, coalesce(l.leaf_hash, ''), t.hash,
       CASE WHEN length(e.leaf) <= %s THEN e.leaf ELSE '' END,
       coalesce(e.leaf_hash, '') FROM ledger_event e
JOIN ledger_leaf l ON l.event_id = e.id JOIN ledger_tree t ON t.number = l.tree
WHERE e.id = ANY(%s::uuid[])
"""
CHANGED = "its bytes are not those that were sealed"
NOT_COMPARED = "what events are found by and opened with was not compared with their bytes"
KEYS = "SELECT coalesce(vkey, ''), coalesce(endorsement, '') FROM ledger_signingkey ORDER BY id"
NUMBERS_BEFORE = """
SELECT later.boot, (SELECT e.wseq FROM ledger_event e WHERE e.boot = later.boot
                    AND e.wseq IS NOT NULL AND e.id < %(first)s ORDER BY e.wseq DESC LIMIT 1)
FROM (SELECT DISTINCT boot FROM ledger_event WHERE id >= %(first)s AND boot IS NOT NULL) AS later
"""
FIRST = "00000000-0000-0000-0000-000000000000"


class Stopped(Exception):
    """Whoever watches a verification wants it to stop."""


class Verification:
    """One verification. `run` does it; `report` says what it found, `tree` and `since` where in the
    newest tree it began.

    progress: called now and then with the number of leaves checked; it may raise Stopped.
    since: leaves of the newest tree before this position were verified before and are taken on the
    word of the signed head there, where that tree is since_origin (empty: whichever it is).
    outside: checkpoints that others kept; kept: gives those that are kept here, beside the log.
    beside: whether what events are found by and opened with is compared with their bytes, which
    takes most of the time.
    """

    def __init__(
        self,
        conninfo: str,
        certificate: Certificate | None,
        *,
        since: int = 0,
        since_origin: str = "",
        outside: Sequence[str] = (),
        kept: Kept | None = None,
        truncate_guards: bool = True,
        beside: bool = True,
        progress: Callable[[int], None] = lambda _done: None,
    ) -> None:
        self.report = Report()
        self.tree, self.since = 0, since
        self._since_origin = since_origin
        self._conninfo = conninfo
        self._certificate = certificate
        self._outside = outside
        self._kept = kept
        self._truncate_guards = truncate_guards
        self._progress = progress
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
            keys = self._trust(leaves)
            found = Trees(leaves, self.report, self._certificate, keys)
            found.outside(self._outside, self._kept, self.since, self._since_origin)
            newest = found.found[-1] if found.found else None
            self.tree, self.since = (newest.number, newest.since) if newest else (0, 0)
            for problem in guards.missing(leaves, truncate=self._truncate_guards):
                self.report.tampered(f"a guard of the log is gone: {problem}")
            self._walk(found.found, leaves, events, str(name and name[0]))
            if keys:
                ends.check(leaves, found.found, self.report)
            loose.waiting(leaves, self.report)
            loose.gaps(leaves, self.report)
            self._removed.refute(leaves)
            self._erasures.compare(leaves, self._removed)
        if not self._beside:
            self.report.notes.append(NOT_COMPARED)
        return self.report

    def _trust(self, connection: Connection) -> list[PublicKey]:
        found = connection.execute(KEYS).fetchall()
        try:
            return trusted(self._certificate, found)
        except NotTrusted as error:
            self.report.unable(str(error))
        except BadNote as error:
            self.report.tampered(f"the chain of signing keys is broken: {error}")
        return []

    # --- leaves and events --------------------------------------------------------------------

    def _walk(self, trees: list[Head], leaves: Connection, events: Connection, name: str) -> None:
        """The bytes here; what stands beside them, meanwhile, in processes of their own."""
        first = self._first_event(leaves, trees)
        total = sum(size_of(leaves, tree.number) - tree.since for tree in trees)
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
                loose.unsealed(leaves, source.rest(), self.report, since=self.since)
            self.report.newest = trees[-1].edge.size if trees else 0
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
        asked = [*changed[:MOST], *beside]
        places = connection.execute(PLACES, [MAX_LEAF_BYTES, asked]).fetchall()
        for pk, place, sealed, hash_name, leaf, stored in places:
            # Of what is not sealed nothing can be said yet.
            problem = beside.get(pk, CHANGED)
            hasher = HASHERS.get(hash_name)
            if hasher is None or hasher.leaf(bytes(leaf)) != bytes(sealed):
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


def _bounds(connection: Connection, trees: list[Head], first: str, count: int) -> list[str]:
    """Ids that share the events out, about as many to each; the last has no end."""
    found = {first}
    if trees and count > 1:
        tree = max(trees, key=lambda tree: size_of(connection, tree.number))
        size = size_of(connection, tree.number)
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
