"""One event under verification: bytes, searchable columns and personal values against its leaf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from audit.ledger.canonical import clean_text, commitment, read
from audit.ledger.canonical import leaf_hash as sha256_of
from audit.ledger.tree import Hasher

COLUMNS = (
    "act", "outcome", "severity", "actor_kind", "actor_id", "key_id", "object_type", "object_id",
    "object_label", "deployment", "request_id", "writer",
)  # fmt: skip
BETWEEN = "\x1f"


def columns_of() -> str:
    """SQL: the columns that events are searched by, as one text."""
    moment = "to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    return f"concat_ws(chr(31), {moment}, {', '.join(f'e.{name}' for name in COLUMNS)})"


def problem_of(row: tuple[Any, ...], hasher: Hasher, sealed: bytes) -> str:
    """What is wrong with an event, empty when nothing is.

    row: id (16 bytes), leaf, leaf_hash, boot, wseq, columns as one text, the key and the JSON of
    the personal values, the address; sealed: the hash that its leaf in the tree has.
    """
    event_id, data, stored = row[0], row[1], row[2]
    if hasher.leaf(data) != sealed:
        return "its bytes are not those that were sealed"
    if sha256_of(data) != stored:
        return "its stored hash is not that of its bytes"
    leaf = read(data)
    if leaf.get("id") != str(UUID(bytes=event_id)):
        return "its id is not that of its bytes"
    if row[5] != _columns(leaf):
        return "the columns it is found by say something else than its bytes"
    if (str(UUID(bytes=row[3])) if row[3] else None, row[4]) != (
        leaf.get("boot"),
        leaf.get("wseq"),
    ):
        return "its number is not that of its bytes"
    return _personal(leaf.get("red") or {}, row[6], row[7], row[8])


def _columns(leaf: Mapping[str, Any]) -> str:
    actor, objects = leaf.get("actor", {}), leaf.get("obj", [])
    first = objects[0] if objects else {}
    deployment: Mapping[str, str] = next((o for o in objects if o.get("type") == "deployment"), {})
    values = (
        leaf.get("t"), leaf.get("act"), leaf.get("outcome"), str(leaf.get("sev")),
        actor.get("type"), actor.get("id"), actor.get("key", ""),
        first.get("type", ""), clean_text(first.get("id", ""), 200),
        clean_text(first.get("label", ""), 200), clean_text(deployment.get("label", ""), 200),
        leaf.get("req", {}).get("id", ""), leaf.get("writer", ""),
    )  # fmt: skip
    return BETWEEN.join(str(value) for value in values)


def _personal(red: Mapping[str, str], key: bytes | None, values: str | None, ip: str | None) -> str:
    if key is None or values is None:
        return "its personal values are gone" if red else ""
    opened = orjson.loads(values)
    if opened.keys() != red.keys():
        return "its personal values are not those that were sealed"
    for name, value in opened.items():
        if commitment(key, name, value) != red[name]:
            return f"the personal value {name} is not what was sealed"
    if ip != opened.get("src.ip", ""):
        return "the address it is found by is not what was sealed"
    return ""


class Numbering:
    """The numbers that processes gave to their events: none may be missing.

    Events of one process come in the order of their numbers, because ids do.
    """

    def __init__(self) -> None:
        self.gaps: list[str] = []
        self._next: dict[bytes, int] = {}

    def count(self, boot: bytes, number: int, data: bytes) -> None:
        expected = self._next.get(boot, 0)
        if number != expected:
            which = f"{expected}" if number == expected + 1 else f"{expected} to {number - 1}"
            self.gaps.append(
                f"event {which} of the process {UUID(bytes=boot)} is missing"
                if number > expected
                else f"event {number} of the process {UUID(bytes=boot)} is out of order"
            )
        self._next[boot] = max(expected, number + 1)
