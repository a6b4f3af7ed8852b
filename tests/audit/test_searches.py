"""Saved searches and the counts over time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from access.errors import Denied, Invalid
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event
from audit.office import actions, counts, search
from audit.office.filters import Filter
from audit.office.models import SavedSearch
from tests.audit.conftest import Happen

ActorOf = Callable[[str], Actor]
DENIED = Filter.parse({"outcome": "denied"})


def test_a_search_is_saved_listed_and_deleted(client_of: Callable[[str], Client]) -> None:
    auditor = client_of("audit")
    answer = auditor.post("/audit/searches/save/", {"name": "Refusals", "outcome": "denied"})
    assert answer.headers["location"] == "/audit/events/?outcome=denied"
    assert (
        'href="/audit/events/?outcome=denied">Refusals</a>'
        in auditor.get("/audit/events/").content.decode()
    )
    saved = SavedSearch.objects.get()
    auditor.post(f"/audit/searches/{saved.pk}/delete/")
    assert not SavedSearch.objects.exists()
    acts = Event.objects.filter(act__startswith="audit.").values_list("act", flat=True)
    assert {"audit.save_search", "audit.delete_search"} <= set(acts)


def test_the_same_name_replaces(actor_of: ActorOf) -> None:
    auditor = actor_of("audit")
    actions.save_search(actor=auditor, name="x", wanted=DENIED)
    actions.save_search(actor=auditor, name=" x ", wanted=Filter.parse({"act": "node"}))
    assert SavedSearch.objects.get().query == {"act": "node"}


@pytest.mark.parametrize("name", ["", "  ", "x" * 81])
def test_a_search_needs_a_name(actor_of: ActorOf, name: str) -> None:
    with pytest.raises(Invalid):
        actions.save_search(actor=actor_of("audit"), name=name, wanted=DENIED)


def test_nothing_is_no_search(actor_of: ActorOf) -> None:
    with pytest.raises(Invalid, match="something first"):
        actions.save_search(actor=actor_of("audit"), name="x", wanted=Filter())


def test_only_auditors_save_searches(actor_of: ActorOf) -> None:
    for name in ("system", "security", "member"):
        with pytest.raises(Denied):
            actions.save_search(actor=actor_of(name), name="x", wanted=DENIED)
    assert not SavedSearch.objects.exists()


def test_whom_a_search_is_for_is_a_personal_value(actor_of: ActorOf) -> None:
    actions.save_search(
        actor=actor_of("audit"), name="x", wanted=Filter.parse({"person": "li.wei"})
    )
    event = Event.objects.filter(act="audit.save_search").get()
    assert b"li.wei" not in bytes(event.leaf)


def test_what_matches_is_counted_in_bars(happen: Happen) -> None:
    for _ in range(3):
        happen(Act.NODE_REMOVE, Obj("node", "1"))
    happen(Act.NODE_REGISTER)
    found = counts.over_time(Filter.parse({"act": "node.remove"}))
    assert sum(found.counts) == found.counts[-1] == 3
    assert not found.capped


def test_a_bar_stops_at_the_limit(happen: Happen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "COUNT_LIMIT", 2)
    for _ in range(4):
        happen(Act.NODE_REMOVE)
    found = counts.over_time(Filter.parse({"act": "node.remove"}))
    assert (found.counts[-1], found.capped) == (2, True)


def test_a_filter_that_cannot_be_read_is_refused(client_of: Callable[[str], Client]) -> None:
    answer = client_of("audit").get("/audit/events/counts/?start=yesterday")
    assert answer.status_code == 422
