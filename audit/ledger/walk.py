"""The leaves of a tree against the bytes of their events and the heads that were signed.

Leaves come in the order of their positions, events in the order of their ids; both are nearly the
same order, so that a leaf finds its event after a few steps and nothing is joined.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from audit.ledger.removed import Removed
from audit.ledger.report import Report
from audit.ledger.sealing import LEVELS
from audit.ledger.tree import Edge, complete_root

Row = tuple[Any, ...]
LEVEL = min(LEVELS)
WIDTH = 1 << LEVEL
KEPT = 10_000


@dataclass
class Head:
    """A tree as the database knows it, and the heads that it must have had."""

    number: int
    origin: str
    edge: Edge
    since: int = 0
    heads: dict[int, list[bytes]] = field(default_factory=dict)
    subtrees: dict[tuple[int, int], bytes] = field(default_factory=dict)


class Numbering:
    """The numbers that processes gave to their events: none may be missing.

    Events of one process come in the order of their numbers, because ids do. known: how many
    numbers of a process were verified before.
    """

    def __init__(self, known: Mapping[bytes, int] | None = None) -> None:
        self._gaps: list[tuple[bytes, int, int]] = []
        self._disorder: list[str] = []
        self._next: dict[bytes, int] = dict(known or {})

    def count(self, boot: bytes, number: int) -> None:
        expected = self._next.get(boot, 0)
        if number != expected:
            if number > expected:
                self._gaps.append((boot, expected, number - 1))
            else:
                self._disorder.append(
                    f"event {number} of the process {UUID(bytes=boot)} is out of order"
                )
                number = expected - 1
        self._next[boot] = number + 1

    def problems(self, missing: Callable[[bytes, int, int], list[tuple[int, int]]]) -> list[str]:
        """What is wrong, a sentence each. `missing` says which of the numbers of a gap should be
        there: what retention removed should not."""
        found = list(self._disorder)
        for boot, begin, end in self._gaps:
            for first, last in missing(boot, begin, end):
                which = f"{first}" if first == last else f"{first} to {last}"
                found.append(f"event {which} of the process {UUID(bytes=boot)} is missing")
        return found


class Events:
    """Events in the order of their ids, each given out once: (id, hash of its leaf or what that is
    made of, boot, wseq)."""

    def __init__(self, rows: Iterator[Row], numbering: Numbering) -> None:
        self._rows = rows
        self._count = numbering.count
        self.passed: dict[bytes, Row] = {}
        self._reached = b""

    def take(self, event_id: bytes) -> Row | None:
        """The event of this id; those before it are kept for later. None where it is missing, which
        is known at the first that comes after it."""
        if self.passed and (row := self.passed.pop(event_id, None)):
            return row
        if event_id < self._reached:
            return None
        for row in self._rows:
            found = row[0]
            if row[3] is not None and row[2] is not None:
                self._count(row[2], row[3])
            if found == event_id:
                return row
            self.passed[found] = row
            if found > event_id:
                self._reached = found
                return None
        return None

    def rest(self) -> Iterator[bytes]:
        """The ids of those that nobody took."""
        yield from self.passed
        for event_id, _leaf, boot, number in self._rows:
            if number is not None and boot is not None:
                self._count(boot, number)
            yield event_id


class Walk:
    """Goes through the leaves of one tree after the other. `changed`: positions and ids of events
    whose bytes are not those that were sealed, the first of `changed_count`. hashed: of the events
    their hashes are given, which somebody else compares with their bytes."""

    def __init__(
        self,
        events: Events,
        report: Report,
        removed: Removed,
        progress: Callable[[int], None],
        *,
        hashed: bool,
    ) -> None:
        self._events = events
        self._hashed = hashed
        self._report = report
        self._removed = removed
        self._progress = progress
        self.changed: list[tuple[int, bytes]] = []
        self.changed_count = 0

    def tree(self, tree: Head, blocks: Iterator[Sequence[Row]]) -> None:
        """blocks: leaves (position, event_id, leaf_hash) of WIDTH positions each, in order."""
        edge, report = tree.edge, self._report
        sizes = sorted(tree.heads)
        for block in blocks:
            there = self._compare(tree, block)
            self._extend(tree, [row[2] for row in block[:there]], sizes)
            # The last block has a leaf: where one has none, some of those before it are missing.
            if there < len(block) or not block:
                report.incomplete(f"leaf {edge.size} of {tree.origin} is missing")
                return
            self._progress(report.size + edge.size)
        report.size += edge.size
        for size in sizes:
            if size > edge.size:
                report.incomplete(
                    f"{tree.origin} was signed with {size} leaves; {edge.size} are there"
                )

    def _compare(self, tree: Head, block: Sequence[Row]) -> int:
        """The events of some leaves against the hashes of these. Returns how many leaves follow
        each other without a gap."""
        take, new, hashed = self._events.take, tree.edge.hasher.new, self._hashed
        fine, expected = 0, tree.edge.size
        for position, event_id, leaf_hash in block:
            if position != expected:
                break
            expected += 1
            row = take(event_id)
            if row is None:
                self._gone(tree, position, event_id)
            elif (row[1] if hashed else new(row[1]).digest()) == leaf_hash:
                fine += 1
            else:
                self.changed_count += 1
                if len(self.changed) < KEPT:
                    self.changed.append((position, event_id))
        self._report.events += fine
        return expected - tree.edge.size

    def _gone(self, tree: Head, position: int, event_id: bytes) -> None:
        if self._removed.covers(tree.number, position):
            self._report.removed += 1
            return
        self._report.incomplete(
            f"the event of leaf {position}, event {UUID(bytes=event_id)}, is missing"
        )

    def _extend(self, tree: Head, hashes: Sequence[bytes], sizes: Sequence[int]) -> None:
        """The edge by some leaves: by all at once where they are a subtree and no head lies
        inside."""
        edge = tree.edge
        next_head = bisect_right(sizes, edge.size)
        inside = next_head < len(sizes) and sizes[next_head] < edge.size + len(hashes)
        if len(hashes) == WIDTH and not edge.size % WIDTH and not inside:
            root = complete_root(edge.hasher, hashes)
            self._append(tree, root, LEVEL)
            return
        for leaf_hash in hashes:
            self._append(tree, leaf_hash, 0)

    def _append(self, tree: Head, value: bytes, level: int) -> None:
        edge = tree.edge
        made = [(level, edge.size >> level, value)] if level else []
        for found_level, index, root in made + edge.append(value, level):
            if found_level in LEVELS and tree.subtrees.get((found_level, index)) != root:
                self._report.tampered(
                    f"the stored subtree {found_level}/{index} is not what it should be"
                )
        if edge.size in tree.heads and any(h != edge.root() for h in tree.heads[edge.size]):
            self._report.tampered(
                f"the first {edge.size} leaves of {tree.origin} are not those that were signed"
            )
