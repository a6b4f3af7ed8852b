"""Opening stored content again. Only the verb that records the reading calls this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings

from audit.ledger.canonical import read
from audit.ledger.models import Event
from audit.office.content import cipher
from audit.office.content.cipher import Sealed, Unreadable
from audit.office.content.keys import KeyFolder, KeyGone, Scope
from audit.office.models import Content


@dataclass(frozen=True, slots=True)
class Words:
    """What was said. `cut`: what is not whole. `matches`: whether it is what the log committed to,
    None when no event of it was found."""

    prompt: str | None
    answer: str | None
    cut: list[str]
    matches: bool | None

    @property
    def turns(self) -> list[tuple[str, str]]:
        """The prompt as turns of role and text; what cannot be read so is shown as it is."""
        try:
            given = orjson.loads(self.prompt or "[]")
            return [(str(turn["role"]), _text(turn.get("content"))) for turn in given]
        except (orjson.JSONDecodeError, TypeError, KeyError):
            return [("", self.prompt or "")]


def _text(content: object) -> str:
    """A turn's text; of parts of other kinds (pictures) only what they are."""
    if isinstance(content, list):
        parts = (p if isinstance(p, dict) else {} for p in content)
        return "\n".join(str(p.get("text") or f"[{p.get('type', '?')}]") for p in parts)
    return str(content or "")


def keys() -> KeyFolder:
    return KeyFolder(settings.CONTENT_KEYS)


def scope_of(content: Content) -> Scope:
    return Scope(content.day, content.deployment_id, content.person_id)


def is_readable(content: Content) -> bool:
    """Whether its key is still there."""
    try:
        return bool(keys().get(scope_of(content)))
    except (KeyGone, OSError):
        return False


def opened(content: Content) -> Words:
    """Raises KeyGone or cipher.Unreadable."""
    sealed = Sealed(content.cipher, bytes(content.wrapped), bytes(content.body))
    plain, own = cipher.unwrap(sealed, keys().get(scope_of(content)), content.pk.bytes)
    found = orjson.loads(plain)
    return Words(
        found.get("prompt"),
        found.get("answer"),
        found.get("cut", []),
        _matches(content, found, own),
    )


def _matches(content: Content, found: dict[str, Any], own: bytes) -> bool | None:
    """Whether the words are those that the event of the request committed to."""
    rows = Event.objects.filter(mentions__object_id=str(content.pk), act__startswith="inference.")
    event = rows.order_by("id").first()
    if event is None:
        return None
    said = read(bytes(event.leaf)).get("content") or {}
    wanted = {"prompt": "prompt_c", "answer": "response_c"}
    return all(
        said.get(mark) == (cipher.commitment(own, name, found[name]) if name in found else None)
        for name, mark in wanted.items()
    )


__all__ = ["KeyGone", "Unreadable", "Words", "is_readable", "keys", "opened", "scope_of"]
