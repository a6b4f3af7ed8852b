"""Reading one event: its leaf, its personal values, its words.

Whoever can change the tables can store a leaf that is no JSON or lies about its shape; it must
still be shown, so nothing here trusts it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.ledger import erasing
from audit.ledger.acts import REGISTRY, Act
from audit.ledger.canonical import commitment, leaf_hash
from audit.ledger.erased import rest_of
from audit.ledger.models import Event, Personal
from audit.office.content import restricted

CATEGORY_NAMES: dict[str, str | Promise] = {
    "auth": _("Sign-in"),
    "authz": _("Permission"),
    "user": _("Person"),
    "service_account": _("Service account"),
    "team": _("Team"),
    "grant": _("Grant"),
    "key": _("Key"),
    "proposal": _("Proposal"),
    "node": _("Node"),
    "model": _("Model"),
    "deployment": _("Deployment"),
    "scenario": _("Scenario"),
    "document": _("Document"),
    "operation": _("Operation"),
    "inference": _("Inference"),
    "capture": _("Capture policy"),
    "content": _("Captured content"),
    "audit": _("Audit log"),
    "alarm": _("Alarm"),
    "case": _("Case"),
    "process": _("Process"),
}
OUTCOME_NAMES: dict[str, str | Promise] = {
    "success": _("success"),
    "failure": _("failure"),
    "denied": _("denied"),
    "error": _("error"),
    "aborted": _("aborted"),
}
FIGURE_NAMES: dict[str, str | Promise] = {
    "deployment": _("Deployment"),
    "revision": _("Revision"),
    "model": _("Model"),
    "digest": _("Digest"),
    "node": _("Node"),
    "op": _("Kind of request"),
    "stream": _("Streamed"),
    "via": _("Came by"),
    "in_tok": _("Tokens in"),
    "out_tok": _("Tokens out"),
    "ms_first": _("First token after (ms)"),
    "ms_total": _("Whole answer after (ms)"),
    "bytes_in": _("Bytes in"),
    "bytes_out": _("Bytes out"),
    "stop": _("Stopped because"),
}
SIDES = ("old", "new")


def sentence(act: str) -> str:
    """The act in words; an act of another version is shown by its name."""
    try:
        return str(REGISTRY[Act(act)].sentence)
    except ValueError:
        return act


def read_leaf(data: bytes) -> dict[str, Any]:
    """What the bytes of a leaf say; empty when they cannot be read."""
    try:
        leaf = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return leaf if isinstance(leaf, dict) else {}


@dataclass(frozen=True)
class Reading:
    """One event as people read it."""

    event: Event

    @cached_property
    def leaf(self) -> dict[str, Any]:
        return read_leaf(bytes(self.event.leaf))

    @cached_property
    def personal(self) -> dict[str, str]:
        """The opened personal values; empty when they have been erased, or are restricted."""
        return restricted.shown(self.leaf, self._stored)

    @property
    def _stored(self) -> dict[str, str]:
        row: Personal | None = getattr(self.event, "personal", None)
        return dict(row.values) if row else {}

    @property
    def sentence(self) -> str:
        return sentence(self.event.act)

    @property
    def outcome_name(self) -> str:
        return str(OUTCOME_NAMES.get(self.event.outcome, self.event.outcome))

    @property
    def reason(self) -> str:
        return str(self.leaf.get("reason", ""))

    @property
    def who(self) -> str:
        return self.personal.get("actor.name") or str(self.part("actor").get("name", ""))

    @property
    def address(self) -> str:
        return self.personal.get("src.ip", "")

    @property
    def client(self) -> str:
        return self.personal.get("src.ua", "")

    @property
    def about(self) -> str:
        return self.event.object_label or self.personal.get("obj.0.label", "")

    @property
    def tokens(self) -> tuple[int, int] | None:
        """In and out, of an answered request."""
        use = self.part("use")
        given, made = use.get("in_tok"), use.get("out_tok")
        return (given, made) if isinstance(given, int) and isinstance(made, int) else None

    @property
    def objects(self) -> list[dict[str, str]]:
        return [
            {
                "type": str(obj.get("type", "")),
                "id": str(obj.get("id", "")),
                "label": str(obj.get("label") or self.personal.get(f"obj.{i}.label", "")),
            }
            for i, obj in enumerate(self.parts("obj"))
        ]

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Before and after; a value that is only committed to is opened while it is kept."""
        return [
            {"field": str(change.get("field", "")), **{s: self._side(change, s) for s in SIDES}}
            for change in self.parts("chg")
        ]

    def _side(self, change: dict[str, Any], side: str) -> Any:
        if f"{side}_c" not in change:
            return change.get(side)
        return self.personal.get(f"chg.{change.get('field')}.{side}", _("(erased)"))

    @property
    def figures(self) -> list[tuple[str, Any]]:
        """What a model did, and whatever else the event says, in words where there are any."""
        found = [*self.part("use").items(), *self.part("ai").items()]
        return [(str(FIGURE_NAMES.get(name, name)), value) for name, value in found]

    @property
    def content(self) -> dict[str, Any]:
        """What was kept of the request's words: whether, where and until when; never the words."""
        return self.part("content")

    @property
    def details(self) -> list[tuple[str, Any]]:
        return list(self.part("details").items())

    @property
    def approval(self) -> dict[str, str]:
        """The proposal by which a second person let it happen: id, approver, reason."""
        return {name: str(value) for name, value in self.part("appr").items()}

    @property
    def is_intact(self) -> bool:
        """The bytes are those that were hashed, and the personal values those committed to."""
        data = bytes(self.event.leaf)
        if not self.leaf or leaf_hash(data) != bytes(self.event.leaf_hash):
            return False
        row: Personal | None = getattr(self.event, "personal", None)
        key, red = bytes(row.key) if row else b"", self.part("red")
        values = self._stored
        rest = erasing.rest_after(self.event.pk)
        if rest is not None:
            return rest == rest_of(key, values)
        return all(red.get(name) == commitment(key, name, value) for name, value in values.items())

    @property
    def pretty(self) -> str:
        return json.dumps(self.leaf, indent=2, ensure_ascii=False, sort_keys=True)

    @property
    def raw(self) -> str:
        return bytes(self.event.leaf).decode("utf-8", "backslashreplace")

    @property
    def hash(self) -> str:
        return bytes(self.event.leaf_hash).hex()

    def part(self, name: str) -> dict[str, Any]:
        value = self.leaf.get(name)
        return value if isinstance(value, dict) else {}

    def parts(self, name: str) -> list[dict[str, Any]]:
        value = self.leaf.get(name)
        return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
