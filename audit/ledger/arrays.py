"""PostgreSQL's binary form of an array (array_recv), packed here, a whole column at once.

psycopg asks each item of a list for its type and joins what it finds, which for a batch of events
takes several times as long as PostgreSQL takes to store it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

BYTEA, INT8, INT2, TEXT, UUIDS, JSONB, TIMESTAMPTZ = 17, 20, 21, 25, 2950, 3802, 1184
_HEAD = struct.Struct("!iiIii")
_LENGTH, _INT8, _INT2 = struct.Struct("!i"), struct.Struct("!q"), struct.Struct("!h")
_NULL = _LENGTH.pack(-1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Array(bytes):
    """A parameter in its binary form; the statement says what it is an array of."""


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer:
        return obj


psycopg.adapters.register_dumper(Array, _ArrayDumper)


def _pack(type_oid: int, items: Sequence[bytes | None]) -> Array:
    if not items:
        return Array(_HEAD.pack(1, 0, type_oid, 0, 1))
    parts: list[bytes] = []
    length, nulls = _LENGTH.pack, 0
    for item in items:
        if item is None:
            nulls = 1
            parts.append(_NULL)
        else:
            parts += (length(len(item)), item)
    return Array(b"".join((_HEAD.pack(1, nulls, type_oid, len(items), 1), *parts)))


def of_bytes(values: Sequence[bytes]) -> Array:
    return _pack(BYTEA, values)


def of_texts(values: Sequence[str]) -> Array:
    return _pack(TEXT, [value.encode() for value in values])


def of_json(values: Sequence[bytes]) -> Array:
    """Of JSON documents as bytes."""
    return _pack(JSONB, [b"\x01" + value for value in values])


def of_uuids(values: Sequence[UUID | None]) -> Array:
    return _pack(UUIDS, [None if v is None else v.bytes for v in values])


def of_int8(values: Sequence[int | None]) -> Array:
    pack = _INT8.pack
    return _pack(INT8, [None if v is None else pack(v) for v in values])


def of_int2(values: Sequence[int]) -> Array:
    pack = _INT2.pack
    return _pack(INT2, [pack(value) for value in values])


def of_moments(values: Sequence[datetime]) -> Array:
    """Of times with a zone, to the microsecond."""
    pack = _INT8.pack
    return _pack(TIMESTAMPTZ, [pack((value - _EPOCH) // _MICROSECOND) for value in values])
