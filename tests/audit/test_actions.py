"""What auditors do is recorded, too; and nobody else may do it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from access.errors import Denied, Invalid, Missing
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.models import Event, Personal
from audit.office import actions, search
from audit.office.filters import Filter
from tests.audit.conftest import Happen

ActorOf = Callable[[str], Actor]
OTHERS = ["system", "security", "member", "mallory"]


def of(act: Act) -> list[dict[str, Any]]:
    return [json.loads(bytes(e.leaf)) for e in Event.objects.filter(act=act).order_by("id")]


def test_a_search_is_an_event_with_its_filter_and_count(actor_of: ActorOf, happen: Happen) -> None:
    happen(Act.NODE_REMOVE)
    actions.search(actor=actor_of("audit"), wanted=Filter(act="node", outcome="success"))
    [leaf] = of(Act.AUDIT_SEARCH)
    assert [(c["field"], c["new"]) for c in leaf["chg"]] == [
        ("act", "node"),
        ("outcome", "success"),
    ]
    assert leaf["details"] == {"count": 1, "capped": False}


def test_whom_a_search_looked_for_is_committed_to_only(actor_of: ActorOf) -> None:
    wanted = Filter(person="li.wei", object="wang.fang", address="10.0.0.7")
    actions.search(actor=actor_of("audit"), wanted=wanted)
    event = Event.objects.get(act=Act.AUDIT_SEARCH)
    for value in (b"li.wei", b"wang.fang", b"10.0.0.7"):
        assert value not in bytes(event.leaf)
    kept = Personal.objects.get(event=event).values
    assert kept["chg.person.new"] == "li.wei"
    assert kept["chg.object.new"] == "wang.fang"
    assert kept["chg.address.new"] == "10.0.0.7"


def test_paging_is_one_search(actor_of: ActorOf, happen: Happen) -> None:
    auditor, key = actor_of("audit"), str(happen().id)
    for before in ("", key, key):
        actions.search(actor=auditor, wanted=Filter(), before=before)
    assert len(of(Act.AUDIT_SEARCH)) == 1


def test_another_filter_or_session_is_another_search(actor_of: ActorOf) -> None:
    auditor = actor_of("audit")
    elsewhere = auditor.at(replace(auditor.origin, session="another"))
    actions.search(actor=auditor, wanted=Filter())
    actions.search(actor=auditor, wanted=Filter(act="node"))
    actions.search(actor=elsewhere, wanted=Filter())
    assert len(of(Act.AUDIT_SEARCH)) == 3


def test_after_a_minute_it_is_another_search(
    actor_of: ActorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions.search(actor=actor_of("audit"), wanted=Filter())
    monkeypatch.setattr(actions.events, "MERGE_S", -1)
    actions.search(actor=actor_of("audit"), wanted=Filter())
    assert len(of(Act.AUDIT_SEARCH)) == 2


def test_opening_an_event_is_an_event(actor_of: ActorOf, happen: Happen) -> None:
    made = happen(Act.NODE_REMOVE)
    assert actions.view(actor=actor_of("audit"), pk=made.id).pk == made.id
    [leaf] = of(Act.AUDIT_VIEW)
    assert leaf["obj"] == [{"type": "event", "id": str(made.id), "label": "node.remove"}]


def test_an_event_that_is_not_there_is_missing(actor_of: ActorOf) -> None:
    with pytest.raises(Missing):
        actions.view(actor=actor_of("audit"), pk=uuid4())
    assert of(Act.AUDIT_VIEW) == []


@pytest.mark.parametrize("who", OTHERS)
def test_nobody_else_searches_opens_or_exports(actor_of: ActorOf, happen: Happen, who: str) -> None:
    actor, made = actor_of(who), happen()
    for verb in (
        lambda: actions.search(actor=actor, wanted=Filter()),
        lambda: actions.view(actor=actor, pk=made.id),
        lambda: actions.export(actor=actor, wanted=Filter(), format="csv"),
    ):
        with pytest.raises(Denied) as refused:
            verb()
        assert refused.value.act.category == "audit"
        assert "Audit (Audit administrator)" in refused.value.helpers
    assert not Event.objects.filter(act__startswith="audit.").exists()


@pytest.mark.django_db(transaction=True)
def test_an_export_is_an_event_before_its_first_byte(actor_of: ActorOf, happen: Happen) -> None:
    made = happen(Act.NODE_REMOVE)
    wanted = Filter(act="node", end=datetime.now(UTC) + timedelta(days=1))
    stream = actions.export(actor=actor_of("audit"), wanted=wanted, format="jsonl")
    [leaf] = of(Act.AUDIT_EXPORT)
    assert leaf["details"] == {"format": "jsonl", "count": 1, "newest": str(made.id)}
    assert {c["field"] for c in leaf["chg"]} == {"act", "end"}
    assert b"".join(stream) == made.leaf + b"\n"


@pytest.mark.django_db(transaction=True)
def test_an_export_does_not_hold_its_own_event(actor_of: ActorOf) -> None:
    stream = actions.export(actor=actor_of("audit"), wanted=Filter(act="audit"), format="jsonl")
    assert (b"".join(stream), stream.count, stream.newest) == (b"", 0, "")
    again = actions.export(actor=actor_of("audit"), wanted=Filter(act="audit"), format="jsonl")
    assert json.loads(b"".join(again))["act"] == "audit.export"


@pytest.mark.parametrize("format", ["", "docx", "CSV", "../csv"])
def test_an_unknown_format_is_refused(actor_of: ActorOf, format: str) -> None:
    with pytest.raises(Invalid) as refused:
        actions.export(actor=actor_of("audit"), wanted=Filter(), format=format)
    assert refused.value.field == "format"
    assert of(Act.AUDIT_EXPORT) == []


def test_the_mark_of_a_search_is_keyed(actor_of: ActorOf) -> None:
    actions.search(actor=actor_of("audit"), wanted=Filter(person="li.wei"))
    mark = Event.objects.get(act=Act.AUDIT_SEARCH).object_id
    assert len(mark) == 32
    assert search.page(Filter(object=mark)).count == 1
