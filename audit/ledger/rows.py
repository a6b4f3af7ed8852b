"""Events as rows, for those who store them without the ORM: the gateway and the sealer.

A statement for a batch, however large: arrays are cheaper than rows on both sides. The sealer
stores where events are found; the gateway in the intake, from where `FILE` moves them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from audit.ledger import arrays
from audit.ledger.event import Event

EVENT_COLUMNS = (
    "id", "leaf", "leaf_hash", "at", "writer", "boot", "wseq", "act", "outcome", "severity",
    "actor_kind", "actor_id", "key_id", "object_type", "object_id", "object_label",
    "deployment", "request_id",
)  # fmt: skip
_Pack = Callable[[Sequence[Any]], arrays.Array]
_NOT_TEXT: dict[str, tuple[str, _Pack]] = {
    "at": ("timestamptz", arrays.of_moments),
    "boot": ("uuid", arrays.of_uuids),
    "wseq": ("bigint", arrays.of_int8),
    "severity": ("smallint", arrays.of_int2),
}
_PACKED = [(name, *_NOT_TEXT.get(name, ("text", arrays.of_texts))) for name in EVENT_COLUMNS[3:]]
_ARRAYS = ", ".join(f"%s::{type_name}[]" for _name, type_name, _pack in _PACKED)
_INSERT_EVENTS = (
    f"INSERT INTO ledger_event ({', '.join(EVENT_COLUMNS)}) "  # noqa: S608  constant names
    f"SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::bytea[], {_ARRAYS}) ON CONFLICT DO NOTHING"
)
_INSERT_PERSONAL = (
    'INSERT INTO ledger_personal (event_id, key, ip, "values") '
    "SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::text[], %s::jsonb[]) ON CONFLICT DO NOTHING"
)
_INSERT_MENTIONS = (
    "INSERT INTO ledger_mention (object_id, event_id) "
    "SELECT * FROM unnest(%s::text[], %s::uuid[]) ON CONFLICT DO NOTHING"
)
TAKE_IN = """
WITH writer AS MATERIALIZED ({writer})
INSERT INTO ledger_intake (boot, event_id, at, wseq, leaf, key, "values")
SELECT writer.boot, new.* FROM writer CROSS JOIN unnest(
    %s::uuid[], %s::timestamptz[], %s::bigint[], %s::bytea[], %s::bytea[], %s::jsonb[]) AS new
"""
"""One way to the database and back. `writer`: a statement that gives the boot of who writes, if it
may; otherwise nothing is stored."""
FILE = "SELECT ledger_file(%s)"
"""Moves so many events from the intake to where they are found; how many it moved."""
FILE_LATE = """
SELECT ledger_file(%s) WHERE
    (SELECT created_at FROM ledger_intake ORDER BY number LIMIT 1) < now() - interval '5 seconds'
"""
"""The same, where nobody has done it for five seconds: two who file wait for each other."""


def inserts(events: Sequence[Event]) -> Iterator[tuple[str, list[arrays.Array]]]:
    """The statements that store `events`, each with its arrays; what is stored already stays."""
    ids = arrays.of_uuids([e.id for e in events])
    yield _INSERT_EVENTS, [ids, *_event_arrays(events)]
    keys, values = _personal(events)
    addresses = arrays.of_texts([e.personal["ip"] for e in events])
    yield _INSERT_PERSONAL, [ids, keys, addresses, values]
    if pairs := [(object_id, e.id) for e in events for object_id in e.mentions]:
        objects, mentioning = zip(*pairs, strict=True)
        yield _INSERT_MENTIONS, [arrays.of_texts(objects), arrays.of_uuids(mentioning)]


def taken_in(events: Sequence[Event]) -> list[arrays.Array]:
    """The arrays of TAKE_IN: events that their writer has numbered."""
    return [
        arrays.of_uuids([e.id for e in events]),
        arrays.of_moments([e.at for e in events]),
        arrays.of_int8([e.wseq for e in events]),
        arrays.of_bytes([e.leaf for e in events]),
        *_personal(events),
    ]


def _event_arrays(events: Sequence[Event]) -> Iterator[arrays.Array]:
    """One array a column, in the order of EVENT_COLUMNS after the id."""
    yield arrays.of_bytes([e.leaf for e in events])
    yield arrays.of_bytes([e.leaf_hash for e in events])
    columns = [e.columns for e in events]
    for name, _type, pack in _PACKED:
        yield pack([values[name] for values in columns])


def _personal(events: Sequence[Event]) -> tuple[arrays.Array, arrays.Array]:
    return (
        arrays.of_bytes([e.personal["key"] for e in events]),
        arrays.of_json([orjson.dumps(e.personal["values"]) for e in events]),
    )
