"""ArcSight's Common Event Format, CEF:0, one event a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address

from django.utils import translation
from django.utils.translation import gettext_lazy as _

from audit.ledger.acts import Act
from audit.office.formats import opened
from audit.office.formats.base import About, Draw, Format, Record, lines
from audit.office.formats.opened import Opened
from audit.office.reading import sentence
from audit.office.visible import UNSEEN, visible

SEVERITY = {1: 2, 2: 3, 3: 5, 4: 7, 5: 9, 6: 10}
# The most characters that CEF has room for; cs fields have more than any value of ours.
LIMITS = {"outcome": 63, "externalId": 40, "deviceExternalId": 255, "requestMethod": 1023}
LIMIT = 1023
IN_EXTENSION = {"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r"}
TO_ESCAPE = re.compile(rf"[\\=]|{UNSEEN.pattern}")


def line(event: Opened, name: str) -> bytes:
    """The event as CEF; `name` says in words what happened. One line, whatever it holds."""
    header = ["Fusebox", "Fusebox", str(event.number("v") or ""), event.act, name]
    fields = [f"{key}={value(text, LIMITS.get(key, LIMIT))}" for key, text in _pairs(event) if text]
    told = "|".join(["CEF:0", *map(head, header), str(SEVERITY[event.severity])])
    return f"{told}|{' '.join(fields)}".encode()


def head(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace("|", "\\|")


def value(text: str, limit: int = LIMIT) -> str:
    def escaped(match: re.Match[str]) -> str:
        return IN_EXTENSION.get(match[0]) or f"<U+{ord(match[0]):04X}>"

    return TO_ESCAPE.sub(escaped, text[:limit])


def _pairs(event: Opened) -> Iterator[tuple[str, str]]:
    yield from _plain(event)
    yield from _source(event)
    labelled = {
        "cs1": ("object", "; ".join(" ".join(filter(None, o.values())) for o in event.objects)),
        "cs2": ("permission", event.text("authz", "permission")),
        "cs3": ("leafHash", event.hash.hex()),
        "cs4": ("deployment", _of_type(event, "deployment")),
        "cs5": ("model", event.text("ai", "model")),
        "cs6": ("writer", event.text("writer")),
        "cn2": ("tokensIn", _number(event, "in_tok")),
        "cn3": ("tokensOut", _number(event, "out_tok")),
    }
    for key, (label, text) in labelled.items():
        if text:
            yield key, text
            yield f"{key}Label", label


def _plain(event: Opened) -> Iterator[tuple[str, str]]:
    yield "rt", str(event.milliseconds)
    yield "deviceExternalId", event.text("log")
    yield "externalId", event.id
    yield "act", event.act
    yield "outcome", event.outcome
    yield "reason", event.text("reason")
    yield "suid", event.text("actor", "id")
    yield "suser", event.who
    yield "spriv", event.text("actor", "role")
    yield "request", event.text("req", "route")
    yield "requestMethod", event.text("req", "method")
    yield "requestClientApplication", event.opened("src.ua")
    yield "in", _number(event, "bytes_in")
    yield "out", _number(event, "bytes_out")
    yield "msg", "; ".join(_changed(change) for change in event.changes)


def _source(event: Opened) -> Iterator[tuple[str, str]]:
    """CEF's src is for IPv4 alone."""
    address = event.address
    if isinstance(address, IPv4Address):
        yield "src", str(address)
    elif address is not None:
        yield "c6a2", str(address)
        yield "c6a2Label", "Source IPv6 Address"


def _changed(change: dict[str, object]) -> str:
    old, new = (change.get(side, "(not shown)") for side in ("old", "new"))
    return f"{change.get('field', '')}: {old} -> {new}"


def _of_type(event: Opened, kind: str) -> str:
    return next((obj["label"] or obj["id"] for obj in event.objects if obj["type"] == kind), "")


def _number(event: Opened, name: str) -> str:
    found = event.number("use", name)
    return "" if found is None else str(found)


def _begin(about: About) -> Draw:
    # For machines, so in one language whoever exports.
    with translation.override("en"):
        names = {act.value: sentence(act) for act in Act}

    def draw(records: Iterator[Record]) -> Iterator[bytes]:
        events = (Opened.of(record) for record in records)
        return lines(line(event, names.get(event.act, event.act)) for event in events)

    return draw


CEF = Format(
    name="cef",
    suffix="cef.txt",
    title="CEF",
    purpose=_("For ArcSight and other log collectors: one line an event"),
    content_type="text/plain; charset=utf-8",
    columns=opened.columns,
    types=opened.TYPES,
    begin=_begin,
)
