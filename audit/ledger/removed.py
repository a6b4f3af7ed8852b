"""What retention has removed: which positions and numbers, and whether a sealed event says so.

A missing event is excused where a span has its position, and the event that the span names is in
the log, says that it removed exactly these, and left the floor in peace. Nothing else is excused.

How old they were is signed nowhere. But what came before something old is old: an event that is
left at an earlier position refutes a removal when its own bytes say that it is too young.
"""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from audit.ledger.acts import Act
from audit.ledger.canonical import MAX_LEAF_BYTES, moment, read
from audit.ledger.report import Report
from audit.ledger.tree import HASHERS

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...]
Span = tuple[int, int]
# No law that we know asks for less; docs/decisions/0018 says which.
FLOOR_DAYS = 183
EVENTS = """
SELECT e.id, CASE WHEN length(e.leaf) <= %(longest)s THEN e.leaf ELSE '' END, l.leaf_hash, t.hash,
       extract(epoch FROM least(l.sealed_at, now()))::float8,
       EXISTS (SELECT FROM ledger_pending p WHERE p.event_id = e.id)
FROM ledger_event e LEFT JOIN ledger_leaf l ON l.event_id = e.id
LEFT JOIN ledger_tree t ON t.number = l.tree WHERE e.id = ANY(%(ids)s)
"""
AGES = """
SELECT s.event_id, max(extract(epoch FROM coalesce(l.sealed_at, 'infinity'))::float8)
FROM ledger_removedspan s JOIN ledger_leaf l ON l.tree = s.tree AND l.position = s.last
GROUP BY s.event_id
"""
LEFT = """
SELECT id, CASE WHEN length(leaf) <= %s THEN leaf ELSE '' END FROM ledger_event WHERE id = ANY(%s)
"""
FLOOR_S = FLOOR_DAYS * 86_400.0
# The clocks of several machines may differ by so much.
CLOCKS_S = 600.0
SUSPECTS = 1000


def digest_of(
    spans: Iterable[tuple[int, int, int]], numbers: Iterable[tuple[UUID, int, int]]
) -> str:
    """What a retention event says of what it removed: hexadecimal SHA-256 of a line
    `tree first-last` for each span of positions, then `boot first-last` for each of numbers,
    both in order."""
    lines = [f"{tree} {first}-{last}\n" for tree, first, last in sorted(spans)]
    lines += [f"{boot} {first}-{last}\n" for boot, first, last in sorted(numbers)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def runs(values: Sequence[int]) -> list[Span]:
    """Ascending numbers as spans without a gap."""
    found: list[Span] = []
    for value in values:
        if found and found[-1][1] == value - 1:
            found[-1] = (found[-1][0], value)
        else:
            found.append((value, value))
    return found


class Removed:
    """What may be missing. Read from one snapshot, checked against the events that say so."""

    def __init__(self, connection: Connection, report: Report) -> None:
        self.report = report
        spans = connection.execute(
            "SELECT event_id, tree, first, coalesce(last, first) FROM ledger_removedspan"
            " ORDER BY tree, first"
        ).fetchall()
        numbers = connection.execute(
            "SELECT event_id, boot, first, coalesce(last, first) FROM ledger_removednumbers"
            " ORDER BY boot, first"
        ).fetchall()
        lawful = self._lawful(connection, spans, numbers) if spans or numbers else {}
        self._limits = _limits(spans, lawful)
        self._suspects: dict[UUID, set[UUID]] = defaultdict(set)
        self._spans: dict[int, list[Span]] = defaultdict(list)
        self._numbers: dict[bytes, list[Span]] = defaultdict(list)
        for event_id, tree, first, last in spans:
            if event_id in lawful:
                self._spans[tree].append((first, last))
        for event_id, boot, first, last in numbers:
            if event_id in lawful:
                self._numbers[boot.bytes].append((first, last))

    def covers(self, tree: int, position: int) -> bool:
        """Whether the event at this position was removed lawfully."""
        return _within(self._spans.get(tree, []), position)

    def reach(self, tree: int) -> int:
        """The last position of a tree that retention says it removed; -1 when there is none."""
        limits = self._limits.get(tree)
        return limits[-1].last if limits else -1

    def left(self, tree: int, leaves: Sequence[Row], events: Sequence[Row | None]) -> None:
        """Some leaves up to that position and the events that are left of them, (id, …): whether
        one seems too young to come before what was removed as old. An id begins with a time."""
        limits = self._limits[tree]
        after = bisect_left(limits, leaves[0][0], key=lambda limit: limit.last)
        ids = [row[0] for row in events if row]
        if not ids or int.from_bytes(max(ids)[:6]) <= limits[after].oldest_ms:
            return
        for leaf, row in zip(leaves, events, strict=True):
            if row is None:
                continue
            young, pk = int.from_bytes(row[0][:6]), UUID(bytes=row[0])
            for limit in limits[bisect_left(limits, leaf[0], key=lambda limit: limit.last) :]:
                if young <= limit.oldest_ms:
                    break
                if young > limit.ms and len(self._suspects[limit.event_id]) < SUSPECTS:
                    self._suspects[limit.event_id].add(pk)

    def refute(self, connection: Connection) -> None:
        """After the walk: whether the bytes of those say so, too."""
        limits = {limit.event_id: limit for each in self._limits.values() for limit in each}
        for event_id, suspects in self._suspects.items():
            rows = connection.execute(LEFT, [MAX_LEAF_BYTES, list(suspects)]).fetchall()
            times = [at.timestamp() for _id, leaf in rows if (at := moment(bytes(leaf or b"")))]
            if any(at * 1000 > limits[event_id].ms for at in times):
                self.report.incomplete(
                    f"the removal that {event_id} should account for: an event before it is left, "
                    f"and younger than {FLOOR_DAYS} days"
                )

    def missing(self, boot: bytes, first: int, last: int) -> list[Span]:
        """Of the numbers first to last of a process: those that nothing says were removed."""
        known, left = self._numbers.get(boot, []), []
        for begin, end in known[max(0, bisect_right(known, (first,)) - 1) :]:
            if begin > last:
                break
            if end < first:
                continue
            if begin > first:
                left.append((first, begin - 1))
            first = end + 1
        return [*left, (first, last)] if first <= last else left

    def _lawful(
        self, connection: Connection, spans: list[Row], numbers: list[Row]
    ) -> dict[UUID, float]:
        """The events that say what the spans say, and when; what none says is reported."""
        named = {row[0] for row in [*spans, *numbers]}
        asked = {"ids": list(named), "longest": MAX_LEAF_BYTES}
        said = {row[0]: row[1:] for row in connection.execute(EVENTS, asked).fetchall()}
        newest: dict[UUID, float] = dict(connection.execute(AGES).fetchall())
        lawful = {}
        for event_id in named:
            mine = [row[1:] for row in spans if row[0] == event_id]
            ours = [row[1:] for row in numbers if row[0] == event_id]
            event = said.get(event_id)
            at = _time_of(event) if event else 0.0
            problem = _problem(event, mine, ours, at - newest.get(event_id, at - FLOOR_S))
            if problem:
                self.report.incomplete(
                    f"the removal of {sum(last - first + 1 for _t, first, last in mine)} events "
                    f"that {event_id} should account for: {problem}"
                )
            else:
                lawful[event_id] = at
        return lawful


@dataclass(frozen=True, slots=True)
class Limit:
    """What comes before position `last` is older than `ms`, or event_id is no excuse. oldest_ms:
    the least of this and those of greater positions."""

    last: int
    ms: float
    oldest_ms: float
    event_id: UUID


def _limits(spans: Sequence[Row], lawful: Mapping[UUID, float]) -> dict[int, list[Limit]]:
    """Of each tree, in the order of positions."""
    lasts: dict[tuple[int, UUID], int] = {}
    for event_id, tree, _first, last in spans:
        if event_id in lawful:
            lasts[tree, event_id] = max(last, lasts.get((tree, event_id), last))
    found: dict[int, list[Limit]] = defaultdict(list)
    for (tree, event_id), last in sorted(lasts.items(), key=lambda item: item[1], reverse=True):
        ms = (lawful[event_id] - FLOOR_S + CLOCKS_S) * 1000
        oldest = min(ms, found[tree][-1].oldest_ms) if found[tree] else ms
        found[tree].append(Limit(last, ms, oldest, event_id))
    return {tree: limits[::-1] for tree, limits in found.items()}


def _time_of(event: Row) -> float:
    """When a removal was, at the latest that nobody can have made up: not after it was sealed, and
    not to come. Where its bytes have no time it was long ago."""
    at = moment(bytes(event[0] or b""))
    sealed_at: float = time.time() if event[3] is None else event[3]
    return min(time.time(), sealed_at, at.timestamp() if at else 0.0)


def _problem(event: Row | None, spans: list[Row], numbers: list[Row], age: float) -> str:
    """Why the event is no excuse for the spans that name it; empty when it is one. age: how many
    seconds before it the newest of what it removed was sealed."""
    if event is None:
        return "there is no such event"
    data, sealed, hash_name, _sealed_at, waits = event
    if sealed is None and not waits:
        return "the event is not sealed and does not wait for it"
    hasher = HASHERS.get(hash_name)
    if sealed is not None and (hasher is None or hasher.leaf(bytes(data)) != bytes(sealed)):
        return "the event is not what was sealed"
    return _says(read(bytes(data or b"")), digest_of(spans, numbers), age)


def _says(leaf: Mapping[str, Any], digest: str, age: float) -> str:
    details = leaf.get("details")
    if leaf.get("act") != Act.AUDIT_PRUNE or leaf.get("outcome") != "success":
        return "the event says something else"
    if not isinstance(details, dict) or details.get("spans") != digest:
        return "the event names others"
    days = details.get("days")
    if not isinstance(days, int) or days < FLOOR_DAYS or age < FLOOR_S - CLOCKS_S:
        return f"they were kept for less than {FLOOR_DAYS} days"
    return ""


def _within(spans: list[Span], value: int) -> bool:
    index = bisect_right(spans, (value, 2**63)) - 1
    return index >= 0 and spans[index][0] <= value <= spans[index][1]
