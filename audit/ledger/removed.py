"""What retention has removed: which positions and numbers, and whether a sealed event says so.

A missing event is excused where a span has its position, and the event that the span names is in
the log, says that it removed exactly these, and left the floor in peace. Nothing else is excused.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from audit.ledger.acts import Act
from audit.ledger.canonical import read
from audit.ledger.report import Report
from audit.ledger.tree import HASHERS

Connection = psycopg.Connection[tuple[Any, ...]]
Span = tuple[int, int]
# No law that we know asks for less; docs/decisions/0018 says which.
FLOOR_DAYS = 183
EVENTS = """
SELECT e.id, e.leaf, l.leaf_hash, t.hash, l.sealed_at,
       EXISTS (SELECT FROM ledger_pending p WHERE p.event_id = e.id)
FROM ledger_event e LEFT JOIN ledger_leaf l ON l.event_id = e.id
LEFT JOIN ledger_tree t ON t.number = l.tree WHERE e.id = ANY(%s)
"""
AGES = """
SELECT s.event_id, max(l.sealed_at) FROM ledger_removedspan s
JOIN ledger_leaf l ON l.tree = s.tree AND l.position = s.last GROUP BY s.event_id
"""


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
            "SELECT event_id, tree, first, last FROM ledger_removedspan ORDER BY tree, first"
        ).fetchall()
        numbers = connection.execute(
            "SELECT event_id, boot, first, last FROM ledger_removednumbers ORDER BY boot, first"
        ).fetchall()
        lawful = self._lawful(connection, spans, numbers) if spans or numbers else set()
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
        self,
        connection: Connection,
        spans: list[tuple[Any, ...]],
        numbers: list[tuple[Any, ...]],
    ) -> set[UUID]:
        """The events that say what the spans say; what none says is reported."""
        named = {row[0] for row in [*spans, *numbers]}
        said = {row[0]: row[1:] for row in connection.execute(EVENTS, [list(named)]).fetchall()}
        newest: dict[UUID, datetime] = {
            row[0]: row[1] for row in connection.execute(AGES).fetchall()
        }
        lawful = set()
        for event_id in named:
            mine = [row[1:] for row in spans if row[0] == event_id]
            ours = [row[1:] for row in numbers if row[0] == event_id]
            problem = _problem(said.get(event_id), mine, ours, newest.get(event_id))
            if problem:
                self.report.incomplete(
                    f"the removal of {sum(last - first + 1 for _t, first, last in mine)} events "
                    f"that {event_id} should account for: {problem}"
                )
            else:
                lawful.add(event_id)
        return lawful


def _problem(
    event: tuple[Any, ...] | None,
    spans: list[Any],
    numbers: list[Any],
    newest: datetime | None,
) -> str:
    """Why the event is no excuse for the spans that name it; empty when it is one."""
    if event is None:
        return "there is no such event"
    data, sealed, hash_name, _sealed_at, waits = event
    if sealed is None and not waits:
        return "the event is not sealed and does not wait for it"
    if sealed is not None and HASHERS[hash_name].leaf(bytes(data)) != bytes(sealed):
        return "the event is not what was sealed"
    return _says(read(bytes(data)), digest_of(spans, numbers), newest)


def _says(leaf: Mapping[str, Any], digest: str, newest: datetime | None) -> str:
    details = leaf.get("details") or {}
    if leaf.get("act") != Act.AUDIT_PRUNE or leaf.get("outcome") != "success":
        return "the event says something else"
    if details.get("spans") != digest:
        return "the event names others"
    days = details.get("days")
    at = datetime.fromisoformat(leaf["t"])
    age = at - newest if newest else timedelta()
    if not isinstance(days, int) or days < FLOOR_DAYS or age < timedelta(days=FLOOR_DAYS):
        return f"they were kept for less than {FLOOR_DAYS} days"
    return ""


def _within(spans: list[Span], value: int) -> bool:
    index = bisect_right(spans, (value, 2**63)) - 1
    return index >= 0 and spans[index][0] <= value <= spans[index][1]
