"""An event opened for another system: its leaf read, its personal values beside it.

Whoever can change the tables can store a leaf that is no JSON or lies about its shape, so every
value is asked for by its type here, and what stands in the columns is used when there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import orjson
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from audit.ledger.models import Event
from audit.office.content import restricted
from audit.office.csv_rows import TEXTS
from audit.office.formats.base import Record

TYPES = ["bytea", "bytea", "text", "text", "text", "text", "text"]


def columns(rows: QuerySet[Event]) -> QuerySet[Event, Any]:
    """What `Opened.of` takes."""
    return rows.annotate(
        id_text=Cast("id", TextField()),
        utc_text=TEXTS["utc_text"],
        personal_text=Cast("personal__values", TextField()),
    ).values_list("leaf", "leaf_hash", "id_text", "utc_text", "act", "outcome", "personal_text")


@dataclass(frozen=True)
class Opened:
    """One event. `raw` and `hash` are as stored; the rest reads them."""

    raw: bytes
    hash: bytes
    id: str
    time: str
    act: str
    outcome: str
    personal: dict[str, Any]

    @classmethod
    def of(cls, record: Record) -> Opened:
        raw, leaf_hash, pk, utc, act, outcome, personal = record
        values = _read(personal or b"")
        if restricted.people():
            values = restricted.shown(_read(raw), values)
        return cls(raw, leaf_hash, pk, utc, act, outcome, values)

    @cached_property
    def leaf(self) -> dict[str, Any]:
        return _read(self.raw)

    @cached_property
    def moment(self) -> datetime:
        return datetime.strptime(self.time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)

    @property
    def milliseconds(self) -> int:
        """Since 1970, as the systems that read this count time."""
        since = self.moment - datetime(1970, 1, 1, tzinfo=UTC)
        return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000

    @property
    def severity(self) -> int:
        return min(max(self.number("sev") or 1, 1), 6)

    @property
    def who(self) -> str:
        return self.opened("actor.name") or self.text("actor", "name")

    @property
    def objects(self) -> list[dict[str, str]]:
        """Each with type, id and label, as far as they are known."""
        value = self.leaf.get("obj")
        given = [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
        return [
            {
                "type": _text(obj.get("type")),
                "id": _text(obj.get("id")),
                "label": _text(obj.get("label")) or self.opened(f"obj.{i}.label"),
            }
            for i, obj in enumerate(given)
        ]

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Field, old and new as the leaf has them: what is committed to only stays closed."""
        value = self.leaf.get("chg")
        return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        try:
            return ip_address(self.opened("src.ip"))
        except ValueError:
            return None

    def opened(self, name: str) -> str:
        """A personal value; empty when there is none, or none any more."""
        return _text(self.personal.get(name))

    def text(self, *path: str) -> str:
        return _text(self._at(path))

    def number(self, *path: str) -> int | None:
        value = self._at(path)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def part(self, name: str) -> dict[str, Any]:
        value = self.leaf.get(name)
        return value if isinstance(value, dict) else {}

    def _at(self, path: tuple[str, ...]) -> Any:
        value: Any = self.leaf
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _read(data: bytes | str) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
