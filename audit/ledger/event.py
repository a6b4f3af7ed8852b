"""Building one event: the envelope that is sealed, the columns to search by, the personal values.

Pure: no database. Personal values (names, addresses, user agents) are never in the envelope; it
carries keyed commitments to them, so that they can be erased while the log still verifies.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from audit.ledger.actor import Actor, Origin
from audit.ledger.acts import Act
from audit.ledger.canonical import (
    Committer,
    NotCanonical,
    check_keys,
    clean_text,
    encoded,
    leaf_hash,
)
from audit.ledger.identifiers import stamp

SCHEMA_VERSION = 1
MAX_ITEMS = 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Obj:
    """What was acted upon. Of a `personal` object's label (a name) only a commitment is kept."""

    type: str
    id: str
    label: str = ""
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One field before and after. A `private` value (a prompt, a name) is committed to only."""

    field: str
    old: str | int | bool | None
    new: str | int | bool | None
    private: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """What a verb says of an act; `build` makes the event of it.

    appr: the proposal by which a second person let it happen: its id, the approver's, the reason.
    content: what was kept of a request's words, and commitments to them; never the words.
    """

    actor: Actor
    act: Act
    objects: Sequence[Obj] = ()
    outcome: str = "success"
    reason: str = ""
    changes: Sequence[Change] = ()
    permission: str = ""
    rule: str = ""
    ai: Mapping[str, Any] = field(default_factory=dict)
    use: Mapping[str, Any] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    appr: Mapping[str, Any] = field(default_factory=dict)


OUTCOMES = ("success", "failure", "denied", "error", "aborted")


class Writer:
    """A process that writes events of its own transactions, numbered without a gap per boot."""

    __slots__ = ("boot", "name", "text")

    def __init__(self, name: str, boot: UUID) -> None:
        self.name, self.boot, self.text = name, boot, str(boot)


@dataclass(slots=True)
class Event:
    """One event, ready to be stored: the leaf as it will be sealed and what is kept beside it.

    personal: the key of the commitments, the address, the values that the commitments stand for.
    """

    draft: Draft
    id: UUID
    at: datetime
    leaf: bytes
    personal: dict[str, Any]
    writer: Writer | None
    wseq: int | None

    @property
    def leaf_hash(self) -> bytes:
        return leaf_hash(self.leaf)

    @property
    def columns(self) -> dict[str, Any]:
        """The copies to search by; the leaf is the evidence, these only find it. Of what goes
        through the intake the database makes them itself, of the leaf."""
        draft, writer = self.draft, self.writer
        first = draft.objects[0] if draft.objects else Obj("", "")
        deployment = next((o for o in draft.objects if o.type == "deployment"), Obj("", ""))
        return {
            "at": self.at,
            "writer": writer.name if writer else "",
            "boot": writer.boot if writer else None,
            "wseq": self.wseq,
            "act": draft.act.value,
            "outcome": draft.outcome,
            "severity": draft.act.severity,
            "actor_kind": draft.actor.kind.value,
            "actor_id": draft.actor.id,
            "key_id": draft.actor.key_id,
            "object_type": first.type,
            "object_id": clean_text(first.id, 200),
            "object_label": "" if first.personal else clean_text(first.label, 200),
            "deployment": "" if deployment.personal else clean_text(deployment.label, 200),
            "request_id": clean_text(draft.actor.origin.request_id, 256),
        }

    @property
    def mentions(self) -> tuple[str, ...]:
        """The ids of the objects after the first, each once, and of the proposal that let it
        happen."""
        ids = [clean_text(obj.id, 200) for obj in self.draft.objects[1:MAX_ITEMS] if obj.id]
        if self.draft.appr:
            ids.append(str(self.draft.appr["id"]))
        return tuple(dict.fromkeys(ids))


class _Commitments:
    """Gathers personal values and the commitments that stand for them in the envelope."""

    __slots__ = ("_commit", "hashes", "key", "values")

    def __init__(self) -> None:
        self.key = os.urandom(32)
        self._commit = Committer(self.key).commit
        self.values: dict[str, str] = {}
        self.hashes: dict[str, str] = {}

    def add(self, name: str, value: str) -> None:
        if value:
            value = clean_text(value, 4096)
            self.values[name] = value
            self.hashes[name] = self._commit(name, value)


def build(
    draft: Draft,
    *,
    log: str,
    writer: Writer | None = None,
    wseq: int | None = None,
    now: datetime | None = None,
) -> Event:
    """The event of `draft`. `wseq` numbers events of their own transaction only.

    Raises canonical.NotCanonical for values that have no place in an event.
    """
    if draft.outcome not in OUTCOMES:
        raise ValueError(f"unknown outcome {draft.outcome!r}")
    event_id, made_ns = stamp()
    moment = now or EPOCH + timedelta(microseconds=made_ns // 1000)
    red = _Commitments()
    envelope = _envelope(draft, red)
    envelope["v"] = SCHEMA_VERSION
    envelope["log"] = log
    envelope["id"] = str(event_id)
    envelope["t"] = _text(moment)
    if writer is not None:
        envelope["writer"], envelope["boot"], envelope["wseq"] = writer.name, writer.text, wseq
    origin = draft.actor.origin
    red.add("src.ip", origin.ip)
    red.add("src.ua", origin.user_agent[:512])
    if red.hashes:
        check_keys(red.hashes)
        envelope["red"] = red.hashes
    leaf = encoded(envelope)
    if b"\\u0000" in leaf and "\x00" in leaf.decode("unicode_escape", "replace"):
        raise NotCanonical("NUL has no place in an event")
    personal = {"key": red.key, "ip": red.values.get("src.ip", ""), "values": red.values}
    return Event(draft, event_id, moment, leaf, personal, writer, wseq)


def _text(moment: datetime) -> str:
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def _envelope(draft: Draft, red: _Commitments) -> dict[str, Any]:
    """What happened, as values that `canonical.encoded` takes; personal values go to `red`."""
    act, actor = draft.act, draft.actor
    name, category, severity = _facts(act)
    envelope: dict[str, Any] = {
        "cat": category,
        "act": name,
        "outcome": draft.outcome,
        "sev": severity,
        "actor": _actor(actor, red),
        "authz": {"permission": draft.permission or name, "rule": draft.rule},
        "obj": [_object(obj, i, red) for i, obj in enumerate(draft.objects[:MAX_ITEMS])],
        "req": _request(actor.origin),
    }
    if draft.reason:
        envelope["reason"] = clean_text(draft.reason)
    if draft.changes:
        envelope["chg"] = [_change(c, red) for c in draft.changes[:MAX_ITEMS]]
    if draft.ai:
        envelope["ai"] = plain(draft.ai)
    if draft.use:
        envelope["use"] = plain(draft.use)
    if draft.details:
        envelope["details"] = plain(draft.details)
    if draft.content:
        envelope["content"] = plain(draft.content)
    if draft.appr:
        envelope["appr"] = plain(draft.appr)
    return envelope


@functools.cache
def _facts(act: Act) -> tuple[str, str, int]:
    return act.value, act.category, act.severity


def _object(obj: Obj, index: int, red: _Commitments) -> dict[str, str]:
    value = {"type": obj.type, "id": clean_text(obj.id)}
    if obj.personal:
        red.add(f"obj.{index}.label", obj.label)
    else:
        value["label"] = clean_text(obj.label)
    return value


def _actor(actor: Actor, red: _Commitments) -> dict[str, str]:
    value = {"type": actor.kind.value, "id": actor.id}
    if actor.role:
        value["role"] = actor.role
    if actor.key_id:
        value["key"] = actor.key_id
    if actor.origin.session:
        value["session"] = actor.origin.session
    if actor.is_system:
        value["name"] = actor.name
    else:
        red.add("actor.name", actor.name)
    return value


def _request(origin: Origin) -> dict[str, str]:
    value = {}
    if origin.request_id:
        value["id"] = clean_text(origin.request_id, 256)
    if origin.method:
        value["method"] = clean_text(origin.method, 256)
    if origin.route:
        value["route"] = clean_text(origin.route, 256)
    return value


def _change(change: Change, red: _Commitments) -> dict[str, Any]:
    value: dict[str, Any] = {"field": change.field}
    for side in ("old", "new"):
        content = getattr(change, side)
        if change.private and content is not None:
            name = f"chg.{change.field}.{side}"
            red.add(name, str(content))
            value[f"{side}_c"] = red.hashes.get(name, "")
        else:
            value[side] = _value(content)
    return value


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Its values as they may stand in an event. Raises NotCanonical for what may not."""
    made = {key: _value(inner) for key, inner in value.items()}
    check_keys(made)
    return made


def _value(value: Any) -> Any:
    """Text cleaned, floats as text (an event has no floats), containers through and through."""
    kind = type(value)
    if kind is str:
        return clean_text(value)
    if kind is int or kind is bool or value is None:
        return value
    match value:
        case str():
            value = clean_text(str(value))
        case float():
            value = format(value, ".6g")
        case Mapping():
            value = plain({str(k): v for k, v in islice(value.items(), MAX_ITEMS)})
        case list() | tuple():
            value = [_value(v) for v in value[:MAX_ITEMS]]
        case int():
            value = int(value)
        case _:
            raise NotCanonical(f"{kind.__name__} has no place in an event")
    return value
