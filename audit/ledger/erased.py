"""Lawful erasures under verification: what an erasure names may be gone, nothing else.

An erasure is an event (`user.erased`) that is sealed like any other. It has the number and a digest
of what it took away, so that no row can be added to it, left out or changed later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
import psycopg

from audit.ledger.canonical import canonical, commitment, read
from audit.ledger.report import Report

Row = tuple[Any, ...]
ERASED = """
COPY (SELECT event_id, erasure_id, rest FROM ledger_erased ORDER BY event_id, id)
TO STDOUT (FORMAT binary)
"""
RECORDED = "SELECT id, leaf FROM ledger_event WHERE act = 'user.erased'"
SEALED = "SELECT event_id FROM ledger_leaf WHERE event_id = ANY(%s)"
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


class Erasures:
    """All erasures of a log, in constant memory for each."""

    def __init__(self, report: Report, items: Iterator[Row]) -> None:
        self._report = report
        self._found: dict[bytes, tuple[Any, int]] = {}
        self._events = 0
        for item in items:
            self._add(*item)

    def compare(self, connection: psycopg.Connection[Row]) -> None:
        """At the end: what was erased against what the recorded erasures say."""
        recorded = {pk.bytes: read(bytes(leaf)) for pk, leaf in connection.execute(RECORDED)}
        for pk, leaf in recorded.items():
            said = leaf.get("details") or {}
            digest, count = self._found.pop(pk, (hashlib.sha256(), 0))
            if (said.get("digest"), said.get("count")) != (digest.hexdigest(), count):
                self._report.tampered(
                    f"the erasure {UUID(bytes=pk)} took away something else than it says"
                )
        for pk in self._sealed(connection, list(self._found)):
            # Its event was sealed and is gone: whether that is lawful is said of the event itself.
            self._found.pop(pk)
        for pk, (_digest, count) in self._found.items():
            self._report.tampered(
                f"personal values of {count} events were taken away by {UUID(bytes=pk)}, "
                "which is no recorded erasure"
            )
        if self._events:
            self._report.notes.append(
                f"personal values in {self._events} places were lawfully erased, "
                f"by {len(recorded)} recorded erasures"
            )

    @staticmethod
    def _sealed(connection: psycopg.Connection[Row], ids: list[bytes]) -> list[bytes]:
        found = connection.execute(SEALED, [[UUID(bytes=pk) for pk in ids]])
        return [pk.bytes for (pk,) in found.fetchall()]

    def _add(self, event_id: bytes, erasure: bytes, rest: str) -> None:
        if event_id > erasure:
            self._report.tampered(
                f"the erasure {UUID(bytes=erasure)} names an event that came after it"
            )
        digest, count = self._found.get(erasure) or (hashlib.sha256(), 0)
        digest.update(line_of(UUID(bytes=event_id), rest))
        self._found[erasure] = (digest, count + 1)
        self._events += 1
