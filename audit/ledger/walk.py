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
from audit.ledger.tree import Edge, complete_root, exchanged

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

    def count(self, rows: Sequence[Row]) -> None:
        """The numbers of some events, as Events has them."""
        known = self._next
        for _id, _leaf, boot, number in rows:
            if number is None or boot is None:
                continue
            expected = known.get(boot, 0)
            if number > expected:
                self._gaps.append((boot, expected, number - 1))
            elif number < expected:
                self._disorder.append(
                    f"event {number} of the process {UUID(bytes=boot)} is out of order"
                )
                continue
            known[boot] = number + 1

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
    """Events in the order of their ids, each given out once: (id, leaf or its hash, boot, wseq)."""

    def __init__(self, pages: Iterator[Sequence[Row]], numbering: Numbering) -> None:
        self._pages = pages
        self._numbering = numbering
        self._reached = b""
        self.passed: dict[bytes, Row] = {}

    def take(self, ids: Sequence[bytes]) -> list[Row | None]:
        """The events of these ids. None where one is missing, which is known at the first event
        that comes after it. What is read besides is kept for later."""
        last = max(ids, default=b"")
        while self._reached < last and (page := next(self._pages, None)):
            self._numbering.count(page)
            self.passed.update({row[0]: row for row in page})
            self._reached = page[-1][0]
        take = self.passed.pop
        return [take(event_id, None) for event_id in ids]

    def rest(self) -> Iterator[bytes]:
        """The ids of those that nobody took."""
        yield from self.passed
        for page in self._pages:
            self._numbering.count(page)
            yield from (row[0] for row in page)


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
        self._exchanged = False

    def tree(self, tree: Head, blocks: Iterator[Sequence[Row]]) -> None:
        """blocks: leaves (position, event_id, leaf_hash) of WIDTH positions each, in order."""
        report = self._report
        sizes = sorted(tree.heads)
        self._same(tree)
        whole = True
        for block in blocks:
            if whole:
                whole = self._grow(tree, block, sizes)
            self._compare(tree, block)
            self._progress(report.size + tree.edge.size)
        report.size += tree.edge.size
        for size in sizes if whole else []:
            if size > tree.edge.size:
                report.incomplete(
                    f"{tree.origin} was signed with {size} leaves; {tree.edge.size} are there"
                )

    def _grow(self, tree: Head, block: Sequence[Row], sizes: Sequence[int]) -> bool:
        """The tree by a block of leaves. Whether heads can be compared further on: where a leaf is
        missing, the stored root of the subtree that it was in stands for all of that."""
        while block:
            before, width = tree.edge, len(block)
            begin = before.size
            there = next((at for at, leaf in enumerate(block) if leaf[0] != begin + at), width)
            if there < width:
                before = before.copy()
            self._extend(tree, [row[2] for row in block[:there]], sizes)
            if there == width:
                return True
            self._report.incomplete(f"leaf {tree.edge.size} of {tree.origin} is missing")
            root = tree.subtrees.get((LEVEL, begin // WIDTH))
            if begin % WIDTH or root is None:
                return False
            tree.edge = before
            self._append(tree, root, LEVEL)
            block = [row for row in block if row[0] >= tree.edge.size]
        return True

    def _compare(self, tree: Head, block: Sequence[Row]) -> None:
        """The events of some leaves against the hashes of these."""
        new = tree.edge.hasher.new
        rows = self._events.take([leaf[1] for leaf in block])
        if block[0][0] <= self._removed.reach(tree.number):
            self._removed.left(tree.number, block, rows)
        if self._hashed:
            found = [row and row[1] for row in rows]
        else:
            found = [row and new(b"\x00" + row[1]).digest() for row in rows]
        if found == [leaf[2] for leaf in block]:
            self._report.events += len(block)
            return
        fine = 0
        for (position, event_id, leaf_hash), value in zip(block, found, strict=True):
            if value is None:
                self._gone(tree, position, event_id)
            elif value == leaf_hash:
                fine += 1
            else:
                self.changed_count += 1
                if len(self.changed) < KEPT:
                    self.changed.append((position, event_id))
        self._report.events += fine

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
            known = tree.subtrees.get((LEVEL, edge.size >> LEVEL), root)
            if known != root and not self._exchanged:
                self._name_exchanged(tree, hashes, known)
            self._append(tree, root, LEVEL)
            return
        for leaf_hash in hashes:
            self._append(tree, leaf_hash, 0)

    def _name_exchanged(self, tree: Head, hashes: Sequence[bytes], root: bytes) -> None:
        """Of the first subtree that is not what it was: whether two leaves changed places in it.
        That takes half a second to find out."""
        self._exchanged = True
        if pair := exchanged(tree.edge.hasher, hashes, root):
            one, other = (tree.edge.size + at for at in pair)
            self._report.tampered(f"leaves {one} and {other} of {tree.origin} changed places")

    def _append(self, tree: Head, value: bytes, level: int) -> None:
        edge = tree.edge
        made = [(level, edge.size >> level, value)] if level else []
        for found_level, index, root in made + edge.append(value, level):
            if found_level in LEVELS and tree.subtrees.get((found_level, index)) != root:
                self._report.tampered(
                    f"the stored subtree {found_level}/{index} is not what it should be"
                )
        if edge.size in tree.heads:
            self._same(tree)

    def _same(self, tree: Head) -> bool:
        """Whether the leaves so far are those of the heads that were signed there."""
        edge = tree.edge
        same = all(head == edge.root() for head in tree.heads.get(edge.size, []))
        if not same:
            self._report.tampered(
                f"the first {edge.size} leaves of {tree.origin} are not those that were signed"
            )
        return same
