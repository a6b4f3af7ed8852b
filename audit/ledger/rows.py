"""Events as rows, for those who store them without the ORM: the gateway and the sealer.

Three statements a batch, however large: arrays are cheaper than rows on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from audit.ledger.event import Event

EVENT_COLUMNS = (
    "id", "leaf", "leaf_hash", "at", "writer", "boot", "wseq", "act", "outcome", "severity",
    "actor_kind", "actor_id", "key_id", "object_type", "object_id", "object_label",
    "deployment", "request_id",
)  # fmt: skip
COLUMN_TYPES = {
    "id": "uuid", "leaf": "bytea", "leaf_hash": "bytea", "at": "timestamptz", "boot": "uuid",
    "wseq": "bigint", "severity": "smallint",
}  # fmt: skip
_ARRAYS = ", ".join(f"%s::{COLUMN_TYPES.get(name, 'text')}[]" for name in EVENT_COLUMNS)
_INSERT_EVENTS = (
    f"INSERT INTO ledger_event ({', '.join(EVENT_COLUMNS)}) "  # noqa: S608  constant names
    f"SELECT * FROM unnest({_ARRAYS}) ON CONFLICT DO NOTHING"
)
_INSERT_PERSONAL = (
    'INSERT INTO ledger_personal (event_id, key, ip, "values") '
    "SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::text[], %s::jsonb[]) ON CONFLICT DO NOTHING"
)
_INSERT_MENTIONS = (
    "INSERT INTO ledger_mention (object_id, event_id) "
    "SELECT * FROM unnest(%s::text[], %s::uuid[]) ON CONFLICT DO NOTHING"
)


def inserts(events: Sequence[Event]) -> Iterator[tuple[str, list[list[object]]]]:
    """The statements that store `events`, each with its arrays; what is stored already stays."""
    yield _INSERT_EVENTS, _event_arrays(events)
    yield _INSERT_PERSONAL, _personal_arrays(events)
    if (mentions := _mention_arrays(events))[0]:
        yield _INSERT_MENTIONS, mentions


def _event_arrays(events: Sequence[Event]) -> list[list[object]]:
    """One array a column, in the order of EVENT_COLUMNS."""
    arrays: list[list[object]] = [
        [e.id for e in events],
        [e.leaf for e in events],
        [e.leaf_hash for e in events],
    ]
    return arrays + [[e.columns[name] for e in events] for name in EVENT_COLUMNS[3:]]


def _personal_arrays(events: Sequence[Event]) -> list[list[object]]:
    return [
        [e.id for e in events],
        [e.personal["key"] for e in events],
        [e.personal["ip"] for e in events],
        [orjson.dumps(e.personal["values"]).decode() for e in events],
    ]


def _mention_arrays(events: Sequence[Event]) -> list[list[object]]:
    pairs = [(object_id, e.id) for e in events for object_id in e.mentions]
    return [[object_id for object_id, _event in pairs], [event for _object, event in pairs]]
