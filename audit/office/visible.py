"""Characters that cannot be seen, or that turn text around, shown as what they are. Pure."""

from __future__ import annotations

import re

# Controls; format characters: zero-width, bidirectional, tags; fillers that look like nothing.
_INVISIBLE = (
    "\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\ud800-\udfff"
)
UNSEEN = re.compile(f"[\x00-\x1f{_INVISIBLE}]")
UNSEEN_BUT_NEWLINE = re.compile(f"[\x00-\x09\x0b-\x1f{_INVISIBLE}]")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def visible(text: str, *, lines: bool = False) -> str:
    """The text with unseen characters as codes such as <U+202E>; `lines` keeps line ends."""
    pattern = UNSEEN_BUT_NEWLINE if lines else UNSEEN
    return pattern.sub(lambda m: f"<U+{ord(m[0]):04X}>", text)


def cell(text: str) -> str:
    """Text as a spreadsheet may open it: nothing unseen, nothing that begins a formula."""
    shown = visible(text)
    guarded = text.startswith(FORMULA) or text.lstrip().startswith(FORMULA)
    return f"'{shown}" if guarded else shown
