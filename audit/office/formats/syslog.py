"""Events as messages of syslog (RFC 5424), for files and for a connection (RFC 5425).

The message is the leaf as ASCII JSON: who reads it and writes RFC 8785 of it has the stored bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from audit.office.formats import opened
from audit.office.formats.base import About, Draw, Format, Record, ascii_json, lines
from audit.office.formats.opened import Opened
from audit.office.visible import visible

MAX_BYTES = 8192
FACILITY = 13  # log audit
SEVERITY = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2, 6: 1}
# 32473 is the number that RFC 5612 keeps for examples: ours has not been assigned yet.
SD_ID = "fusebox@32473"
MAX_VALUE = 255
NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")
WRITER = re.compile(r"[^@]*@(?P<host>.*)/(?P<pid>\d+)\Z", re.DOTALL)


def line(event: Opened, position: int | None = None) -> bytes:
    """The event as one message without a line end, at most MAX_BYTES long. `position` is the one
    that it was sealed at: positions have no gaps, so that a lost message shows."""
    place = {} if position is None else {"seq": str(position)}
    leaf = ascii_json(event.leaf) if event.leaf else ""
    whole = _message(event, place | _all(event), leaf)
    if leaf and len(whole) <= MAX_BYTES:
        return whole
    told = visible(f"{event.act} {event.outcome}")[:MAX_VALUE]
    return _message(event, {**place, **_least(event), "short": "1"}, told)


def head(tree: int, size: int, note: str, signed_at: datetime) -> bytes:
    """A signed head: whoever keeps it holds proof up to its event."""
    data = f'tree="{tree}" size="{size}"'
    return _own(5, signed_at, "checkpoint", data, ascii_json({"checkpoint": note}))


def missing(tree: int, position: int, event_id: UUID) -> bytes:
    """In the place of an event that was sealed and is gone."""
    data = f'tree="{tree}" seq="{position}" id="{event_id}"'
    return _own(2, datetime.now(UTC), "audit.missing", data, "a sealed event is missing")


def _own(severity: int, at: datetime, name: str, data: str, text: str) -> bytes:
    """A message about the log itself. Its values are ours: numbers, ids and signed notes."""
    time = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return (
        f"<{FACILITY * 8 + severity}>1 {time} - fusebox - {name} [{SD_ID} {data}] {text}".encode()
    )


def framed(message: bytes) -> bytes:
    """The message as it goes over a connection: counted octets, so that nothing in it ends it."""
    return b"%d %b" % (len(message), message)


def parameter(text: str) -> str:
    """A value of structured data, escaped; nothing unseen in it."""
    shown = visible(text)[:MAX_VALUE]
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _message(event: Opened, data: dict[str, str], text: str) -> bytes:
    writer = WRITER.match(event.text("writer"))
    host, process = (writer["host"], writer["pid"]) if writer else ("", "")
    given = " ".join(f'{k}="{parameter(v)}"' for k, v in data.items() if v)
    priority = FACILITY * 8 + SEVERITY[event.severity]
    head = f"<{priority}>1 {event.time} {_word(host, 255)} fusebox {_word(process, 128)}"
    return f"{head} {_word(event.act, 32)} [{SD_ID} {given}] {text}".encode()


def _least(event: Opened) -> dict[str, str]:
    return {
        "v": str(event.number("v") or ""),
        "log": event.text("log"),
        "id": event.id,
        "hash": event.hash.hex(),
        "outcome": event.outcome,
    }


def _all(event: Opened) -> dict[str, str]:
    first = next(iter(event.objects), {"type": "", "id": "", "label": ""})
    return _least(event) | {
        "reason": event.text("reason"),
        "actor": event.text("actor", "id"),
        "name": event.who,
        "role": event.text("actor", "role"),
        "ip": event.opened("src.ip"),
        "permission": event.text("authz", "permission"),
        "request": event.text("req", "id"),
        "objectType": first["type"],
        "objectId": first["id"],
        "object": first["label"],
        "model": event.text("ai", "model"),
    }


def _word(text: str, limit: int) -> str:
    """A field of the header: printable ASCII without spaces, or the sign for none."""
    return NOT_PRINTABLE.sub("_", text)[:limit] or "-"


def _begin(about: About) -> Draw:
    def draw(records: Iterator[Record]) -> Iterator[bytes]:
        return lines(line(Opened.of(record)) for record in records)

    return draw


SYSLOG = Format(
    name="syslog",
    suffix="syslog.txt",
    title="Syslog (RFC 5424)",
    purpose=_("For rsyslog, QRadar and the like: one message a line"),
    content_type="text/plain; charset=utf-8",
    columns=opened.columns,
    types=opened.TYPES,
    begin=_begin,
)
