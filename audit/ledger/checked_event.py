"""One event under verification: bytes, searchable columns and personal values against its leaf."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import orjson

from audit.ledger.canonical import clean_text, commitment, read
from audit.ledger.canonical import leaf_hash as sha256_of
from audit.ledger.erased import after_erasure
from audit.ledger.tree import SHA256, Hasher

COLUMNS = (
    "act", "outcome", "severity", "actor_kind", "actor_id", "key_id", "object_type", "object_id",
    "object_label", "deployment", "request_id", "writer",
)  # fmt: skip
BETWEEN = "\x1f"
MOST = 200


def columns_of() -> str:
    """SQL: the columns that events are searched by, as one text."""
    moment = "to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    return f"concat_ws(chr(31), {moment}, {', '.join(f'e.{name}' for name in COLUMNS)})"


def problem_of(row: tuple[Any, ...], hasher: Hasher, sealed: bytes) -> str:
    """What is wrong with an event, empty when nothing is.

    row: id (16 bytes), leaf, leaf_hash, boot, wseq, columns as one text, the key and the JSON of
    the personal values, the address, what an erasure says of them (None when there was none);
    sealed: the hash that its leaf in the tree has.
    """
    data, stored = row[1], row[2]
    if hasher.leaf(data) != sealed:
        return "its bytes are not those that were sealed"
    if stored != (sealed if hasher is SHA256 else sha256_of(data)):
        return "its stored hash is not that of its bytes"
    try:
        return _against(read(data), row)
    except (AttributeError, KeyError, TypeError):
        return "its bytes are no event"


def _against(leaf: Mapping[str, Any], row: tuple[Any, ...]) -> str:
    """What is stored beside the bytes, against what they say."""
    event_id, boot, number, columns = row[0], row[3], row[4], row[5]
    if leaf["id"].replace("-", "") != event_id.hex():
        return "its id is not that of its bytes"
    if columns != _columns(leaf):
        return "the columns it is found by say something else than its bytes"
    claimed = (leaf.get("boot", "").replace("-", ""), leaf.get("wseq"))
    if (boot.hex() if boot else "", number) != claimed:
        return "its number is not that of its bytes"
    if row[9] is not None:
        return after_erasure(leaf.get("red") or {}, row[6], row[7], row[8], row[9])
    return _personal(leaf.get("red") or {}, row[6], row[7], row[8])


def _columns(leaf: Mapping[str, Any]) -> str:
    actor, objects, request = leaf["actor"], leaf["obj"], leaf["req"]
    first: Mapping[str, str] = objects[0] if objects else {}
    deployment = ""
    for thing in objects:
        if thing["type"] == "deployment":
            deployment = thing.get("label", "")
            break
    return BETWEEN.join((
        leaf["t"], leaf["act"], leaf["outcome"], str(leaf["sev"]),
        actor["type"], actor["id"], actor.get("key", ""),
        first.get("type", ""), _short(first.get("id", "")), _short(first.get("label", "")),
        _short(deployment), request.get("id", ""), leaf.get("writer", ""),
    ))  # fmt: skip


def _short(text: str) -> str:
    return text if len(text) <= MOST else clean_text(text, MOST)


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

    Events of one process come in the order of their numbers, because ids do. known: how many
    numbers of a process were verified before.
    """

    def __init__(self, known: Mapping[bytes, int] | None = None) -> None:
        self._gaps: list[tuple[bytes, int, int]] = []
        self._disorder: list[str] = []
        self._next: dict[bytes, int] = dict(known or {})

    def count(self, boot: bytes, number: int, data: bytes) -> None:
        expected = self._next.get(boot, 0)
        if number != expected:
            if number > expected:
                self._gaps.append((boot, expected, number - 1))
            else:
                self._disorder.append(
                    f"event {number} of the process {UUID(bytes=boot)} is out of order"
                )
        self._next[boot] = max(expected, number + 1)

    def problems(self, missing: Callable[[bytes, int, int], list[tuple[int, int]]]) -> list[str]:
        """What is wrong, a sentence each. `missing` says which of the numbers of a gap should be
        there: what retention removed should not."""
        found = list(self._disorder)
        for boot, begin, end in self._gaps:
            for first, last in missing(boot, begin, end):
                which = f"{first}" if first == last else f"{first} to {last}"
                found.append(f"event {which} of the process {UUID(bytes=boot)} is missing")
        return found
