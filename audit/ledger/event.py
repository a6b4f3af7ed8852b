"""Building one event: the envelope that is sealed, the columns to search by, the personal values.

Pure: no database. Personal values (names, addresses, user agents) are never in the envelope; it
carries keyed commitments to them, so that they can be erased while the log still verifies.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.canonical import Committer, canonical, clean_text, leaf_hash
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


@dataclass(frozen=True, slots=True)
class Writer:
    """A process that writes events of its own transactions, numbered without a gap per boot."""

    name: str
    boot: UUID


@dataclass(frozen=True, slots=True)
class Event:
    """One event, ready to be stored: the leaf as it will be sealed and what is kept beside it."""

    id: UUID
    leaf: bytes
    leaf_hash: bytes
    columns: dict[str, Any]
    personal: dict[str, Any]
    mentions: tuple[str, ...]


class _Commitments:
    """Gathers personal values and the commitments that stand for them in the envelope."""

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
    envelope: dict[str, Any] = {
        "v": SCHEMA_VERSION,
        "log": log,
        "id": str(event_id),
        "t": _text(moment),
        **_content(draft, red),
    }
    if writer is not None:
        envelope |= {"writer": writer.name, "boot": str(writer.boot), "wseq": wseq}
    red.add("src.ip", draft.actor.origin.ip)
    red.add("src.ua", draft.actor.origin.user_agent[:512])
    if red.hashes:
        envelope["red"] = red.hashes
    leaf = canonical(envelope)
    return Event(
        id=event_id,
        leaf=leaf,
        leaf_hash=leaf_hash(leaf),
        columns=_columns(draft, envelope, moment, writer, wseq),
        personal={"key": red.key, "ip": red.values.get("src.ip", ""), "values": red.values},
        mentions=_mentions(draft),
    )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _content(draft: Draft, red: _Commitments) -> dict[str, Any]:
    """What happened; personal values go to `red`."""
    content: dict[str, Any] = {
        "cat": draft.act.category,
        "act": draft.act.value,
        "outcome": draft.outcome,
        "sev": draft.act.severity,
        "actor": _actor(draft.actor, red),
        "authz": {"permission": draft.permission or draft.act.value, "rule": draft.rule},
        "obj": [_object(obj, i, red) for i, obj in enumerate(draft.objects[:MAX_ITEMS])],
        "req": _request(draft.actor),
    }
    if draft.reason:
        content["reason"] = clean_text(draft.reason)
    if draft.changes:
        content["chg"] = [_change(c, red) for c in draft.changes[:MAX_ITEMS]]
    for name in ("ai", "use", "details", "content", "appr"):
        if value := getattr(draft, name):
            content[name] = {k: _plain(v) for k, v in value.items()}
    return content


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


def _request(actor: Actor) -> dict[str, str]:
    origin = actor.origin
    values = {"id": origin.request_id, "method": origin.method, "route": origin.route}
    return {k: clean_text(v, 256) for k, v in values.items() if v}


def _change(change: Change, red: _Commitments) -> dict[str, Any]:
    value: dict[str, Any] = {"field": change.field}
    for side in ("old", "new"):
        content = getattr(change, side)
        if change.private and content is not None:
            name = f"chg.{change.field}.{side}"
            red.add(name, str(content))
            value[f"{side}_c"] = red.hashes.get(name, "")
        else:
            value[side] = _plain(content)
    return value


def _plain(value: Any) -> Any:
    """Text cleaned, floats as text (an event has no floats), containers through and through."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return format(value, ".6g")
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in list(value.items())[:MAX_ITEMS]}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value[:MAX_ITEMS]]
    return value


def _columns(
    draft: Draft,
    envelope: Mapping[str, Any],
    moment: datetime,
    writer: Writer | None,
    wseq: int | None,
) -> dict[str, Any]:
    """The copies to search by; the leaf is the evidence, these only find it."""
    first = draft.objects[0] if draft.objects else Obj("", "")
    deployment = next((o for o in draft.objects if o.type == "deployment"), Obj("", ""))
    return {
        "at": moment,
        "writer": writer.name if writer else "",
        "boot": writer.boot if writer else None,
        "wseq": wseq,
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
        "request_id": envelope["req"].get("id", ""),
    }


def _mentions(draft: Draft) -> tuple[str, ...]:
    """The ids of the objects after the first, each once, and of the proposal that let it happen."""
    ids = [clean_text(obj.id, 200) for obj in draft.objects[1:MAX_ITEMS] if obj.id]
    if draft.appr:
        ids.append(str(draft.appr["id"]))
    return tuple(dict.fromkeys(ids))
