"""Events as rows of CSV, for Excel, WPS and people: UTF-8 with BOM, CRLF, RFC 4180, guarded.

PostgreSQL writes the rows, here they are guarded. What it cannot read as JSON (somebody broke the
stored bytes) is written here, too, from there on.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
from django.db.models import DateTimeField, F, Func, QuerySet, TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils.translation import gettext as _
from psycopg import DataError
from psycopg.errors import ProgramLimitExceeded, StatementTooComplex

from audit.ledger.acts import Act
from audit.ledger.models import Event
from audit.office.content import restricted
from audit.office.reading import sentence
from audit.office.visible import UNSEEN, cell

BOM = "\ufeff".encode()
ROWS = 500
PERSON, ADDRESS, ACTOR_ID, OBJECT, OBJECT_ID = 6, 7, 9, 13, 14
# What PostgreSQL says of bytes that are no JSON, or JSON too deep for it.
UNREADABLE = (DataError, ProgramLimitExceeded, StatementTooComplex)
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


_WRITTEN = """
SELECT e.utc_text, e.local_text, coalesce(%s::jsonb ->> e.act, e.act), e.act, e.outcome,
    CASE WHEN jsonb_typeof(leaf.v) = 'object' THEN nullif(leaf.v ->> 'reason', '') ELSE %s END,
    coalesce(nullif(e.person, ''), nullif(leaf.v -> 'actor' ->> 'name', '')),
    nullif(e.ip_text, ''), nullif(e.actor_kind, ''), nullif(e.actor_id, ''),
    nullif(leaf.v -> 'actor' ->> 'role', ''), nullif(e.key_id, ''), nullif(e.object_type, ''),
    coalesce(nullif(e.object_label, ''), nullif(e.person_label, '')), nullif(e.object_id, ''),
    nullif(e.deployment, ''), nullif(leaf.v -> 'ai' ->> 'model', ''),
    leaf.v -> 'use' ->> 'in_tok', leaf.v -> 'use' ->> 'out_tok', nullif(e.request_id, ''),
    e.severity_text, e.id_text
FROM ({events}) AS e
CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS v OFFSET 0) AS leaf
"""


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

    def written(self, query: str, values: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
        """The query of what `select` gives as one whose rows are those of the file, unguarded."""
        sentences = orjson.dumps(self._sentences).decode()
        return _WRITTEN.replace("{events}", query), (sentences, self._unreadable, *values)

    def guarded(
        self, lines: Iterator[bytes], rest: Callable[[UUID | None], Iterator[tuple[Any, ...]]]
    ) -> Iterator[bytes]:
        """What PostgreSQL wrote, a line at a time, as pieces. When it cannot go on, `rest` gives
        the records after the event of that id."""
        yield BOM + write([self.header])
        last: UUID | None = None
        try:
            while part := list(islice(lines, ROWS)):
                yield guard(part)
                last = UUID(part[-1].rsplit(b",", 1)[1].decode().strip())
        except UNREADABLE:
            records = rest(last)
            while rows := list(islice(records, ROWS)):
                yield write([self.cells(record) for record in rows])

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


def guard(lines: list[bytes]) -> bytes:
    """Lines of CSV as PostgreSQL wrote them, as they may be opened."""
    text = b"".join(lines).decode()
    hide = bool(restricted.people())
    if not hide and _is_plain(text, len(lines)):
        return text.replace("\n", "\r\n").encode()
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    return write([_hidden(row) for row in rows] if hide else rows)


def _hidden(row: list[str]) -> list[str]:
    """Without the values of people whose values nobody may see any more."""
    if restricted.hides(row[ACTOR_ID], row[PERSON]):
        row[PERSON] = row[ADDRESS] = ""
    if restricted.hides(row[OBJECT_ID], row[OBJECT]):
        row[OBJECT] = ""
    return row


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
