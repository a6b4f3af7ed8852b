"""Taking a person's values out of events: which of an event's values are theirs, and the call of
the owner's function that takes them away. The event that says so is recorded by the verb."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from audit.ledger.canonical import read
from audit.ledger.erased import digest_of, rest_of
from audit.ledger.models import Erased, Event

OWN = ("actor.name", "src.ip", "src.ua")
# By the person, about the person, or with one of their names in a value (a sign-in that failed
# under that name, somebody who looked for them).
TOUCHING = """
SELECT e.id FROM ledger_event e WHERE e.actor_id = %(person)s AND e.id < %(before)s
UNION SELECT e.id FROM ledger_event e WHERE e.object_id = %(person)s AND e.id < %(before)s
UNION SELECT m.event_id FROM ledger_mention m
    WHERE m.object_id = %(person)s AND m.event_id < %(before)s
UNION SELECT p.event_id FROM ledger_personal p
    WHERE p.event_id < %(before)s AND lower(p."values"::text) LIKE ANY (%(names)s::text[])
"""
APPLY = "SELECT ledger_erase(%s, %s::uuid[], %s::bytea[], %s::jsonb[], %s::text[])"


@dataclass(frozen=True, slots=True)
class Item:
    """One event and what remains of its personal values, under a new key."""

    event_id: UUID
    key: bytes
    remaining: dict[str, str]

    @property
    def rest(self) -> str:
        return rest_of(self.key, self.remaining)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one recorded erasure takes away."""

    items: Sequence[Item]

    @property
    def ids(self) -> list[UUID]:
        return [item.event_id for item in self.items]

    @property
    def details(self) -> dict[str, Any]:
        """For the event: `ledger_erase` does exactly this, and the verification asks for it."""
        return {
            "count": len(self.items),
            "digest": digest_of([(item.event_id, item.rest) for item in self.items]),
        }


def touching(person: UUID | str, names: Collection[str], before: UUID) -> list[UUID]:
    """Events older than `before` that may have values of this person, oldest first."""
    likes = [f"%{_like(json.dumps(name.lower(), ensure_ascii=False)[1:-1])}%" for name in names]
    with connection.cursor() as cursor:
        cursor.execute(TOUCHING, {"person": str(person), "before": before, "names": likes})
        return sorted((row[0] for row in cursor.fetchall()), key=lambda pk: pk.bytes)


def batches(
    ids: Sequence[UUID], person: UUID | str, names: Collection[str], size: int
) -> Iterator[Batch]:
    """What is still to be taken away, in parts; nothing of it has been when this is read."""
    known = {name.casefold() for name in names if name}
    for begin in range(0, len(ids), size):
        rows = Event.objects.filter(pk__in=ids[begin : begin + size]).select_related("personal")
        items = []
        for event in rows:
            personal = getattr(event, "personal", None)
            values: dict[str, str] = dict(personal.values) if personal else {}
            remaining = remains(read(bytes(event.leaf)), values, str(person), known)
            if remaining != values:
                key = os.urandom(32) if remaining else b""
                items.append(Item(event.pk, key, remaining))
        if items:
            yield Batch(items)


def remains(
    leaf: dict[str, Any], values: dict[str, str], person: str, names: Collection[str]
) -> dict[str, str]:
    """The personal values of an event that are somebody else's. names: casefolded."""
    theirs = _theirs(leaf, person)
    if _typed(leaf, values, names):
        theirs |= set(OWN)
    return {
        name: value
        for name, value in values.items()
        if name not in theirs
        and not (name.startswith("chg.") and "chg." in theirs)
        and value.casefold() not in names
    }


def _typed(leaf: dict[str, Any], values: dict[str, str], names: Collection[str]) -> bool:
    """Whether nobody was signed in yet and one of the names was typed: a sign-in that failed."""
    actor = leaf.get("actor")
    nobody = isinstance(actor, dict) and not actor.get("id")
    return nobody and values.get("actor.name", "").casefold() in names


def _theirs(leaf: dict[str, Any], person: str) -> set[str]:
    actor, objects = leaf.get("actor"), leaf.get("obj")
    found = set(OWN) if isinstance(actor, dict) and actor.get("id") == person else set()
    for index, obj in enumerate(objects if isinstance(objects, list) else []):
        if isinstance(obj, dict) and obj.get("id") == person:
            found.add(f"obj.{index}.label")
            found.add("chg.")
    return found


def rest_after(event_id: UUID) -> str | None:
    """What the last erasure of an event says of what remains; None when there was none."""
    rows = Erased.objects.filter(event_id=event_id).order_by("-pk")
    return rows.values_list("rest", flat=True).first()


def apply(erasure: UUID, batch: Batch) -> None:
    """In the transaction that recorded the event `erasure` with the details of this batch."""
    items = batch.items
    with connection.cursor() as cursor:
        cursor.execute(
            APPLY,
            [
                erasure,
                batch.ids,
                [item.key for item in items],
                [json.dumps(item.remaining) for item in items],
                [item.rest for item in items],
            ],
        )


def _like(text: str) -> str:
    for sign in ("\\", "%", "_"):
        text = text.replace(sign, f"\\{sign}")
    return text
