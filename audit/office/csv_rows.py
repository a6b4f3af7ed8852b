"""Events as rows of CSV, for Excel, WPS and people: UTF-8 with BOM, CRLF, RFC 4180, guarded."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import orjson
from django.db.models import DateTimeField, F, Func, QuerySet, TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from audit.ledger.acts import Act
from audit.ledger.models import Event
from audit.office.content import restricted
from audit.office.reading import sentence
from audit.office.visible import UNSEEN, cell

BOM = "\ufeff".encode()
ROWS = 500
# The first column is a time of our own making; in any other, this may begin a formula.
FORMULA_CELL = re.compile(r',"?\s*[=+\-@＝＋－＠]')


class _ToChar(Func):
    function = "to_char"
    output_field = TextField()


_UTC = Func(F("at"), template="%(expressions)s AT TIME ZONE 'UTC'", output_field=DateTimeField())
# What is read besides the leaf, all of it as text.
TEXTS: dict[str, Any] = {
    "utc_text": _ToChar(_UTC, Value('YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
    "local_text": _ToChar(F("at"), Value("YYYY-MM-DD HH24:MI:SSTZH:TZM")),
    "act": None,
    "outcome": None,
    "person": KeyTextTransform("actor.name", F("personal__values")),
    "actor_kind": None,
    "actor_id": None,
    "key_id": None,
    "object_type": None,
    "object_label": None,
    "person_label": KeyTextTransform("obj.0.label", F("personal__values")),
    "object_id": None,
    "deployment": None,
    "ip_text": F("personal__ip"),
    "request_id": None,
    "severity_text": Cast("severity", TextField()),
    "id_text": Cast("id", TextField()),
}


def select(rows: QuerySet[Event]) -> QuerySet[Event, Any]:
    """What `Rows.cells` takes: the leaf, then TEXTS."""
    made = {name: expression for name, expression in TEXTS.items() if expression is not None}
    return rows.annotate(**made).values_list("leaf", *TEXTS)


class Rows:
    """Makes cells of events in the language that was active when it was made."""

    def __init__(self) -> None:
        self.header = _header()
        self._sentences = {act.value: sentence(act) for act in Act}
        self._unreadable = _("The stored bytes cannot be read.")

    def pieces(self, records: Iterator[tuple[Any, ...]]) -> Iterator[bytes]:
        yield BOM + write([self.header])
        while part := list(islice(records, ROWS)):
            yield write([self.cells(record) for record in part])

    def cells(self, record: Sequence[Any]) -> list[Any]:
        """One event, unguarded, in the order of the header."""
        (data, utc, local, act, outcome, person, kind, actor_id, key_id, object_type, label,
         person_label, object_id, deployment, address, request, severity, pk) = record  # fmt: skip
        if restricted.people():
            if restricted.hides(actor_id, person):
                person = address = ""
            if restricted.hides(object_id, person_label):
                person_label = ""
        leaf = _read(data)
        actor, ai, use = _part(leaf, "actor"), _part(leaf, "ai"), _part(leaf, "use")
        return [
            utc, local, self._sentences.get(act, act), act, outcome,
            leaf.get("reason", "") if leaf else self._unreadable,
            person or actor.get("name", ""), address, kind, actor_id, actor.get("role", ""), key_id,
            object_type, label or person_label, object_id, deployment, ai.get("model", ""),
            use.get("in_tok", ""), use.get("out_tok", ""), request, severity, pk,
        ]  # fmt: skip


def write(rows: list[list[Any]]) -> bytes:
    """The rows, guarded. Nearly always nothing needs it, which is seen for all rows at once."""
    text = _written(rows)
    if not _is_plain(text, len(rows)):
        text = _written([[cell("" if v is None else str(v)) for v in row] for row in rows])
    return text.replace("\n", "\r\n").encode()


def _written(rows: list[list[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _is_plain(text: str, rows: int) -> bool:
    body = text.replace("\n", "")
    if len(text) - len(body) != rows:
        return False
    seen = body.isprintable() if body.isascii() else UNSEEN.search(body) is None
    return seen and FORMULA_CELL.search(text) is None


def _read(data: bytes) -> dict[str, Any]:
    try:
        leaf = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return leaf if isinstance(leaf, dict) else {}


def _part(leaf: dict[str, Any], name: str) -> dict[str, Any]:
    value = leaf.get(name)
    return value if isinstance(value, dict) else {}


def _header() -> list[str]:
    return [
        _("Time (UTC)"),
        _("Local time"),
        _("What"),
        _("Action"),
        _("Outcome"),
        _("Reason"),
        _("Person"),
        _("Address"),
        _("Kind of actor"),
        _("Actor id"),
        _("Role"),
        _("Key id"),
        _("Object type"),
        _("Object"),
        _("Object id"),
        _("Deployment"),
        _("Model"),
        _("Tokens in"),
        _("Tokens out"),
        _("Request id"),
        _("Severity"),
        _("Event id"),
    ]
