"""The auditor's pages: they find, show everything escaped, and survive a log that was broken."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from access.models import User
from audit.ledger.acts import Act
from audit.ledger.log import Change, Obj
from audit.ledger.models import Event
from tests.audit.conftest import Happen

ClientOf = Callable[[str], Client]
HOSTILE = "<script>alert(1)</script>\u202eevil\x1b[31m\"'"
LIST = "/audit/events/"


@pytest.fixture
def auditor(client_of: ClientOf) -> Client:
    return client_of("audit")


def rows(answer: object) -> list[str]:
    """The events that the list shows, as the links to them."""
    return re.findall(r'<a href="/audit/events/([0-9a-f-]{36})/">', text(answer))


def tamper(table: str, statement: str, *values: Any) -> None:
    """Change the log, as the owner of the tables can. The test's rollback brings all back."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE ledger_{table} DISABLE TRIGGER USER")
        cursor.execute(statement, values)


def text(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined]


def test_the_newest_event_is_first(auditor: Client, happen: Happen) -> None:
    made = [str(happen(Act.NODE_REMOVE).id) for _ in range(3)]
    assert rows(auditor.get(LIST))[:3] == made[::-1]


def test_filters_work_as_a_plain_form(auditor: Client, happen: Happen) -> None:
    made = happen(Act.NODE_REMOVE, Obj("node", "n-1", "node 1"), outcome="failure", reason="busy")
    happen(Act.NODE_REMOVE)
    page = auditor.get(LIST, {"act": "node", "outcome": "failure", "object": "node 1", "end": ""})
    assert rows(page) == [str(made.id)]
    assert "1 event" in text(page)
    assert '<option value="failure" selected>' in text(page)
    without = urlencode({"act": "node", "object": "node 1"})
    assert f'href="/audit/events/?{html.escape(without)}"' in text(page)


def test_the_export_takes_the_filter_along(auditor: Client) -> None:
    page = text(auditor.get(LIST, {"act": "node.remove", "start": "2026-11-01"}))
    assert '<input type="hidden" name="act" value="node.remove">' in page
    assert '<input type="hidden" name="start" value="2026-11-01T00:00:00+00:00">' in page
    assert 'name="start" value="2026-11-01T00:00:00" type="datetime-local" step="1">' in page


def test_a_filter_that_cannot_be_understood_finds_nothing(auditor: Client, happen: Happen) -> None:
    happen()
    page = auditor.get(LIST, {"start": "yesterday", "person": HOSTILE})
    assert page.status_code == 422
    assert rows(page) == []
    assert "<strong>From:</strong> Write a time such as 2026-11-23" in text(page)
    assert not Event.objects.filter(act=Act.AUDIT_SEARCH).exists()


def test_the_field_at_fault_is_told_to_those_who_cannot_see_it(auditor: Client) -> None:
    for field, value in (("start", "yesterday"), ("address", "here"), ("act", "key.steal")):
        page = text(auditor.get(LIST, {field: value}))
        [marked] = re.findall(r'<(?:input|select)[^>]* aria-invalid="true"[^>]*>', page)
        assert f'name="{field}"' in marked and 'aria-describedby="filter-problem"' in marked
        # htmx replaces the list alone: a script marks the field of the form that stays.
        part = text(auditor.get(LIST, {field: value}, headers={"HX-Request": "true"}))
        assert f'id="filter-problem" data-field="{field}"' in part


def sent_again(page: str) -> dict[str, str]:
    """What a browser sends when nothing is changed: it leaves out seconds that are zero."""
    found = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.split("</form>", maxsplit=1)[0]))
    for name in ("start", "end"):
        found[name] = found[name].removesuffix(":00") if len(found[name]) == 19 else found[name]
    return found


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-30T10:05:00+00:00",
        "2026-11-30T10:05:59.999999+00:00",
        "2026-11-01T05:30:00+00:00",  # the first and
        "2026-11-01T06:30:00+00:00",  # the second half past one of New York on that day
    ],
)
def test_a_time_that_is_sent_again_as_it_was_shown_is_the_same(
    auditor: Client, moment: str
) -> None:
    with timezone.override("America/New_York"):
        page = text(auditor.get(LIST, {"start": moment, "end": moment}))
        again = text(auditor.get(LIST, sent_again(page.split('role="search"')[1])))
        shown = f"{timezone.localtime(datetime.fromisoformat(moment)):%Y-%m-%d %H:%M:%S %z}"
    for name in ("start", "end"):
        assert f'<input type="hidden" name="{name}" value="{moment}">' in again
    assert f"From: {shown}" in again and f"To: {shown}" in again


def test_a_time_that_was_changed_counts_as_it_was_written(auditor: Client) -> None:
    query = {"start": "2026-11-02T10:05", "start_exact": "2026-11-01T10:05:00+00:00"}
    for exact in (query["start_exact"], "nonsense", "0001-01-01T00:00:00+14:00"):
        page = text(auditor.get(LIST, query | {"start_exact": exact}))
        assert '<input type="hidden" name="start" value="2026-11-02T10:05:00+00:00">' in page


def test_too_broad_a_name_is_said_beside_the_field(
    auditor: Client, people: dict[str, User]
) -> None:
    User.objects.bulk_create(User(username=f"clone-{i}") for i in range(51))
    page = auditor.get(LIST, {"person": "clone"})
    assert page.status_code == 422
    assert "<strong>Person:</strong> More than 50 people match." in text(page)


def test_htmx_gets_the_list_alone(auditor: Client, happen: Happen) -> None:
    made = happen()
    page = auditor.get(LIST, headers={"HX-Request": "true"})
    assert str(made.id) in rows(page)
    assert text(page).strip().startswith('<div id="events">')
    assert "HX-Request" in page.headers["Vary"]


def test_pages_are_keys_apart(auditor: Client, happen: Happen) -> None:
    made = [str(happen(Act.NODE_REFRESH).id) for _ in range(60)][::-1]
    first = auditor.get(LIST, {"act": "node.refresh"})
    assert rows(first) == made[:50]
    older = re.findall(r'rel="next" href="[^"?]*\?([^"]*)"', text(first))
    second = auditor.get(f"{LIST}?{html.unescape(older[0])}")
    assert rows(second) == made[50:]
    assert 'rel="prev"' in text(second)
    assert 'rel="next"' not in text(second)


def test_a_page_asks_the_database_a_few_times_whatever_it_shows(
    auditor: Client, happen: Happen, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    for _ in range(60):
        happen(Act.TEAM_ADD_MEMBER, Obj("team", "1", "t"), Obj("user", "2", "u", personal=True))
    auditor.get(LIST)  # what is asked once a process or session, and the event of the search
    # Five of them are the frame's: what waits for a second person, alarms, witnesses.
    with django_assert_max_num_queries(18):  # type: ignore[attr-defined]
        auditor.get(LIST)


def test_an_event_in_full(auditor: Client, happen: Happen) -> None:
    made = happen(
        Act.USER_SET_ROLE,
        Obj("user", "u-1", "wang.fang", personal=True),
        name="li.wei",
        ip="10.0.0.7",
        request="r-1",
        changes=[Change("role", "member", "audit"), Change("prompt", None, "be kind", True)],
        use={"in_tok": 16},
        details={"why": "asked"},
        rule="two people",
    )
    other = happen(Act.USER_ENABLE, request="r-1")
    page = text(auditor.get(f"{LIST}{made.id}/"))
    for shown in ("Role changed", "li.wei", "10.0.0.7", "wang.fang", "be kind", "two people",
                  "Tokens in", "asked", "matches its hash", made.leaf_hash.hex()):  # fmt: skip
        assert shown in page
    for link in ("person=id-of-somebody", "object=u-1", "request=r-1", "address=10.0.0.7"):
        assert f'href="/audit/events/?{link}"' in page
    assert f'href="/audit/events/{other.id}/"' in page
    assert html.escape(made.leaf.decode()) in page


def test_what_has_been_erased_is_said(auditor: Client, happen: Happen) -> None:
    made = happen(changes=[Change("prompt", None, "be kind", private=True)])
    tamper("personal", "DELETE FROM ledger_personal")
    page = text(auditor.get(f"{LIST}{made.id}/"))
    assert "(erased)" in page
    assert "be kind" not in page
    assert "matches its hash" in page


def test_hostile_text_is_shown_and_does_nothing(auditor: Client, happen: Happen) -> None:
    made = happen(
        Act.NODE_REMOVE,
        Obj(HOSTILE, HOSTILE, HOSTILE),
        name=HOSTILE,
        ip=HOSTILE,
        reason=HOSTILE,
        changes=[Change(HOSTILE, HOSTILE, HOSTILE)],
        details={"x": HOSTILE},
    )
    for path in (LIST, f"{LIST}{made.id}/", f"{LIST}?{urlencode({'object': HOSTILE})}"):
        page = text(auditor.get(path))
        assert "<script>alert" not in page
        page = re.sub(r"<input[^>]*>", "", page)  # a field holds what one typed, as it is
        assert "\u202e" not in page
        assert "\x1b" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;U+202E&gt;evil&lt;U+001B&gt;" in page


@pytest.mark.parametrize(
    "leaf", [b"", b"\xff\x00", b"[]", b'{"act":1}', b'{"actor":[],"obj":{},"chg":[1],"use":"x"}']
)
def test_a_leaf_that_somebody_changed_is_shown_with_a_warning(
    auditor: Client, happen: Happen, leaf: bytes
) -> None:
    made = happen(Act.NODE_REMOVE, Obj("node", "1", "node 1"))
    tamper("event", "UPDATE ledger_event SET leaf = %s WHERE id = %s", leaf, made.id)
    assert str(made.id) in rows(auditor.get(LIST))
    page = text(auditor.get(f"{LIST}{made.id}/"))
    assert "This event is not as it was written" in page
    assert "matches its hash" not in page


def test_a_changed_name_is_noticed(auditor: Client, happen: Happen) -> None:
    made = happen(name="li.wei")
    name = json.dumps({"actor.name": "wang.fang"})
    tamper("personal", 'UPDATE ledger_personal SET "values" = %s', name)
    assert "This event is not as it was written" in text(auditor.get(f"{LIST}{made.id}/"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("format", "kind"), [("csv", "text/csv; charset=utf-8"), ("jsonl", "application/x-ndjson")]
)
def test_what_was_found_is_exported(
    auditor: Client, happen: Happen, format: str, kind: str
) -> None:
    made = happen(Act.NODE_REMOVE)
    answer = auditor.post("/audit/export/", {"act": "node.remove", "format": format})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Cache-Control"] == "no-store"
    name = answer.headers["Content-Disposition"]
    assert re.fullmatch(rf'attachment; filename="fusebox-events-\d{{8}}-\d{{6}}\.{format}"', name)
    data = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert str(made.id).encode() in data
    assert data.count(b"\n") == (2 if format == "csv" else 1)


@pytest.mark.parametrize("fields", [{"format": "docx"}, {}, {"format": "csv", "start": "x"}])
def test_an_export_that_cannot_be_is_refused(auditor: Client, fields: dict[str, str]) -> None:
    assert auditor.post("/audit/export/", fields).status_code == 422
    assert not Event.objects.filter(act=Act.AUDIT_EXPORT, outcome="success").exists()


def test_the_pages_speak_chinese(auditor: Client, happen: Happen) -> None:
    made = happen(Act.NODE_REMOVE)
    auditor.cookies["fusebox_language"] = "zh-hans"
    assert 'lang="zh-hans"' in text(auditor.get(LIST))
    assert "成功" in text(auditor.get(f"{LIST}{made.id}/"))


def test_retention_is_shown_before_anybody_has_set_it(auditor: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE office_retentionpolicy")
    assert "365" in text(auditor.get("/audit/retention/"))
