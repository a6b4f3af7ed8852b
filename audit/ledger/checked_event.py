"""One event under verification: bytes, searchable columns and personal values against its leaf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from audit.ledger.canonical import (
    Committer,
    NotCanonical,
    clean_text,
    encoded,
    leaf_hash,
    read,
)
from audit.ledger.erased import after_erasure

COLUMNS = (
    "act", "outcome", "severity", "actor_kind", "actor_id", "key_id", "object_type", "object_id",
    "object_label", "deployment", "request_id", "writer",
)  # fmt: skip
BETWEEN = "\x1f"
MOST = 200
# Members that are compared as texts with what stands beside them: a number would show there.
TEXTS = frozenset({"id", "t", "act", "outcome", "sev", "actor", "obj", "req", "red", "boot"})
STORED = "its stored hash is not that of its bytes"


def columns_of() -> str:
    """SQL: the columns that events are searched by, as one text."""
    moment = "to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    # A column that lost its value must not lose its place.
    texts = ", ".join(f"coalesce(e.{name}::text, chr(30))" for name in COLUMNS)
    return f"concat_ws(chr(31), {moment}, {texts})"


def problem_of(row: tuple[Any, ...]) -> str:
    """What is wrong with what stands beside an event's bytes, empty when nothing is.

    row: id (16 bytes), leaf, leaf_hash, boot, wseq, columns as one text, the key and the JSON of
    the personal values, the address, what an erasure says of them (None when there was none).
    """
    data = row[1]
    if row[2] != leaf_hash(data):
        return STORED
    try:
        leaf = read(data)
        if encoded(leaf) != data or _has_float(leaf):
            return "its bytes are not in canonical form"
        return _against(leaf, row)
    except (AttributeError, KeyError, TypeError, NotCanonical):
        return "its bytes are no event"


def _has_float(leaf: Mapping[str, Any]) -> bool:
    """Asked of every event: most members are texts, whole numbers, or compared elsewhere."""
    for name, value in leaf.items():
        kind = type(value)
        if kind is not str and kind is not int and name not in TEXTS and _is_float(value):
            return True
    return False


def _is_float(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        return any(map(_is_float, value.values()))
    return kind is float or (kind is list and any(map(_is_float, value)))


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
    if not red and (ip or values not in (None, "{}")):
        return "it has personal values that were not sealed"
    if key is None or values is None:
        return "its personal values are gone" if red else ""
    opened = orjson.loads(values)
    if opened.keys() != red.keys():
        return "its personal values are not those that were sealed"
    commit = Committer(key).commit
    for name, value in opened.items():
        if commit(name, value) != red[name]:
            return f"the personal value {name} is not what was sealed"
    if ip != opened.get("src.ip", ""):
        return "the address it is found by is not what was sealed"
    return ""
