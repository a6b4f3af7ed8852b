"""Characters that cannot be seen, or that turn text around, shown as what they are. Pure."""

from __future__ import annotations

import re

# Controls, zero-width characters, bidirectional overrides and isolates, line separators.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def visible(text: str) -> str:
    """The text with unseen characters as codes such as <U+202E>."""
    return UNSEEN.sub(lambda m: f"<U+{ord(m[0]):04X}>", text)


def cell(value: object) -> str:
    """A value as a spreadsheet may open it: nothing unseen, nothing that begins a formula."""
    raw = "" if value is None else str(value)
    shown = visible(raw.replace("\r\n", "\n"))
    return f"'{shown}" if raw.lstrip(" \n").startswith(FORMULA) else shown
