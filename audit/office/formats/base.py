"""What a format is: the columns it reads, and how it makes the pieces of a file of them.

A format streams: it holds a few events at a time, or keeps what it makes in files of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import Promise

from audit.ledger.models import Event
from audit.office.csv_rows import Rows
from audit.office.filters import Filter

PIECE_BYTES = 256 * 1024
Record = tuple[Any, ...]
Draw = Callable[[Iterator[Record]], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class About:
    """What a file may say of itself. `extra` are further lines, name and value, of the caller's;
    `folder` is where a format that is made as a whole keeps its unfinished parts."""

    wanted: Filter
    count: int = 0
    extra: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write events. `begin` is called while the reader's language is the active one.

    columns: what is selected, as COPY's `types`. in_request: how many events a page makes while
    the reader waits; more is made by a worker. suffix: of its files, where it is not the name.
    """

    name: str
    title: str
    purpose: str | Promise
    content_type: str
    columns: Callable[[QuerySet[Event]], QuerySet[Event, Any]]
    types: Sequence[str]
    begin: Callable[[About], Draw]
    in_request: int = 1_000_000
    suffix: str = ""
    rows: Callable[[], Rows] | None = None


def lines(made: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, given without their ends, in pieces that are worth sending."""
    size, waiting = 0, []
    for line in made:
        waiting.append(line)
        size += len(line)
        if size >= PIECE_BYTES:
            yield b"\n".join([*waiting, b""])
            size, waiting = 0, []
    if waiting:
        yield b"\n".join([*waiting, b""])


def ascii_json(value: object) -> str:
    """JSON on one line in which nothing is unseen: all but printable ASCII is escaped."""
    return json.dumps(value, separators=(",", ":")).replace("\x7f", "\\u007f")
