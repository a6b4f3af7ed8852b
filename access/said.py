"""Sentences stored as what is meant, and worded in the language of whoever reads them.

A worker has no reader: it stores the English message id and the values. Words of others (Ollama's,
a model's, the system's) stay as they came, and are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.utils.translation import gettext, override
from django.utils.translation import gettext_noop as _

MAX_WORDS = 500
PLACE = re.compile(r"%\((\w+)\)[sd]")


@dataclass(frozen=True, slots=True)
class Words:
    """What somebody else said, as it came."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self.text)


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of ours: its message id, and what stands in it."""

    text: str
    values: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        return "".join(f"“{p}”" if isinstance(p, Words) else str(p) for p in parts(self))


Text = str | Words | Said
Value = str | int | Words | Said


def say(text: str, **values: object) -> Said:
    """A sentence; mark its text for translation with gettext_noop. Plain values stand as they are:
    names, addresses, figures."""
    kept = {k: v if isinstance(v, int | Words | Said) else str(v) for k, v in values.items()}
    return Said(text, kept)


def quote(text: object) -> Words:
    """Somebody else's words, in one line and not too many."""
    clean = str(text).encode("utf-8", "replace").decode().replace("\x00", "")
    return Words(" ".join(clean.split())[:MAX_WORDS])


def join(*texts: Text) -> Text:
    """One sentence after the other; empty ones left out."""
    found: Text = ""
    for text in texts:
        if text:
            found = say(_("%(first)s %(then)s"), first=found, then=text) if found else text
    return found


def english(text: Text) -> str:
    """For the log, which is written in one language."""
    with override("en"):
        return str(text)


def parts(said: Said) -> list[Value]:
    """The sentence in the reader's language, cut where values stand; a face may mark these."""
    text, at = gettext(said.text), 0
    found: list[Value] = []
    for place in PLACE.finditer(text):
        found += [text[at : place.start()], said.values.get(place[1], "?")]
        at = place.end()
    return [*found, text[at:]]


def to_json(text: Value) -> Any:
    match text:
        case Said(text=sentence, values=values):
            return {"say": sentence, "with": {k: to_json(v) for k, v in values.items()}}
        case Words(text=words):
            return {"words": words}
        case _:
            return text


def from_json(stored: Any) -> Any:
    """What `to_json` made; a plain text of before there were sentences stays one."""
    if isinstance(stored, dict) and "say" in stored:
        values = {str(k): from_json(v) for k, v in dict(stored.get("with") or {}).items()}
        return Said(str(stored["say"]), values)
    if isinstance(stored, dict):
        return Words(str(stored.get("words", "")))
    return stored if isinstance(stored, str | int) else ""


class SaidField(models.JSONField):
    """A column that holds a sentence, words, or nothing."""

    _pyi_private_set_type: Text
    _pyi_private_get_type: Text

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return from_json(super().from_db_value(value, expression, connection))

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(to_json(value) if isinstance(value, Text) else value)
