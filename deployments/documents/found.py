"""What a child finds in a document, or why it finds nothing. Pure; for child and parent alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


class Problem(Exception):
    """A document that is not read. `code` has its words in `words.py`; `facts` go into them."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code, self.facts = code, facts


@dataclass(frozen=True, slots=True)
class Found:
    """The text; `texts` when the file is a list of them (the records of a table).

    `without_text`: pages, counted from one, that hold a picture and no text.
    """

    kind: str
    text: str
    texts: list[str] = field(default_factory=list)
    pages: int = 0
    encoding: str = ""
    without_text: list[int] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
