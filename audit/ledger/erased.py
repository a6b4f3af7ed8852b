"""Lawful erasures under verification: what an erasure names may be gone, nothing else.

An erasure is an event (`user.erased`) that is sealed like any other. It has the number and a digest
of what it took away, so that no row can be added to it, left out or changed later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import psycopg

from audit.ledger.canonical import MAX_LEAF_BYTES, canonical, commitment, read
from audit.ledger.removed import Removed
from audit.ledger.report import Report

Row = tuple[Any, ...]
ERASED = """
COPY (SELECT coalesce(event_id, '00000000-0000-0000-0000-000000000000'),
             coalesce(erasure_id, '00000000-0000-0000-0000-000000000000'), coalesce(rest, '?')
      FROM ledger_erased ORDER BY event_id, id) TO STDOUT (FORMAT binary)
"""
RECORDED = """
SELECT id, CASE WHEN length(leaf) <= %s THEN leaf ELSE '' END FROM ledger_event
WHERE act = 'user.erased'
"""
GONE = """
SELECT l.event_id, l.tree, l.position FROM ledger_leaf l
WHERE l.event_id = ANY(%(ids)s)
    AND NOT EXISTS (SELECT FROM ledger_event e WHERE e.id = l.event_id)
"""
REST = "rest"


def line_of(event_id: UUID, rest: str) -> bytes:
    """What of one erased event goes into the digest, in the order of the events' ids."""
    return f"{event_id}:{rest}\n".encode()


def digest_of(items: Sequence[tuple[UUID, str]]) -> str:
    lines = sorted(items, key=lambda item: item[0].bytes)
    return hashlib.sha256(b"".join(line_of(*item) for item in lines)).hexdigest()


def rest_of(key: bytes, remaining: Mapping[str, str]) -> str:
    """The commitment to what remains of an event's personal values; empty when nothing does."""
    return commitment(key, REST, canonical(remaining).decode()) if remaining else ""


def after_erasure(
    red: Mapping[str, str], key: bytes | None, values: str | None, ip: str | None, rest: str
) -> str:
    """What is wrong with the personal values of an event that an erasure names."""
    if key is None or values is None:
        return "its personal values are gone, beyond what was erased"
    opened = orjson.loads(values)
    if not opened.keys() <= red.keys():
        return "its personal values are not those that were sealed"
    if rest_of(key, opened) != rest or (not opened and key):
        return "its personal values are not those that its erasure left"
    if ip != opened.get("src.ip", ""):
        return "the address it is found by is not what its erasure left"
    return ""


@dataclass(slots=True)
class Taken:
    """What one erasure took away. whole: nothing remains of the values of its events."""

    digest: Any = field(default_factory=hashlib.sha256)
    count: int = 0
    whole: bool = True


class Erasures:
    """All erasures of a log, in constant memory for each."""

    def __init__(self, report: Report, items: Iterator[Row]) -> None:
        self._report = report
        self._found: dict[bytes, Taken] = {}
        self._events = 0
        for item in items:
            self._add(*item)

    def compare(self, connection: psycopg.Connection[Row], removed: Removed) -> None:
        """At the end: what was erased against what the recorded erasures say."""
        found = connection.execute(RECORDED, [MAX_LEAF_BYTES])
        recorded = {pk.bytes: read(bytes(leaf or b"")) for pk, leaf in found}
        for pk, leaf in recorded.items():
            said = leaf.get("details")
            said = said if isinstance(said, dict) and leaf.get("act") == "user.erased" else {}
            taken = self._found.pop(pk, None) or Taken()
            if (said.get("digest"), said.get("count")) != (taken.digest.hexdigest(), taken.count):
                self._report.tampered(
                    f"the erasure {UUID(bytes=pk)} took away something else than it says"
                )
        for pk in self._lawfully_gone(connection, removed):
            if self._found[pk].whole:
                self._found.pop(pk)
        for pk, taken in self._found.items():
            self._report.tampered(
                f"personal values of {taken.count} events were taken away by {UUID(bytes=pk)}, "
                "which is no recorded erasure"
            )
        if self._events:
            self._report.notes.append(
                f"personal values in {self._events} places were lawfully erased, "
                f"by {len(recorded)} recorded erasures"
            )

    def _lawfully_gone(self, connection: psycopg.Connection[Row], removed: Removed) -> list[bytes]:
        """Erasures whose own event retention has removed: what they say nobody can ask any more."""
        ids = [UUID(bytes=pk) for pk in self._found]
        rows = connection.execute(GONE, {"ids": ids}).fetchall() if ids else []
        return [pk.bytes for pk, tree, position in rows if removed.covers(tree, position)]

    def _add(self, event_id: bytes, erasure: bytes, rest: str) -> None:
        if event_id > erasure:
            self._report.tampered(
                f"the erasure {UUID(bytes=erasure)} names an event that came after it"
            )
        taken = self._found.setdefault(erasure, Taken())
        taken.digest.update(line_of(UUID(bytes=event_id), rest))
        taken.count += 1
        taken.whole = taken.whole and not rest
        self._events += 1
