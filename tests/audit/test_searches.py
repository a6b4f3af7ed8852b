"""Saved searches and the counts over time."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.test import Client
from django.utils import timezone

from access.errors import Denied, Invalid
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event
from audit.office import actions, counts, search
from audit.office.filters import Filter
from audit.office.models import Export, SavedSearch
from audit.office.reading import Reading
from tests.audit.conftest import Happen
from tests.audit.test_alarms import at

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


def test_what_is_replaced_or_deleted_is_in_the_event_and_on_the_page(
    client_of: Callable[[str], Client],
) -> None:
    auditor = client_of("audit")
    fields = {"name": "x", "outcome": "denied", "person": "li.wei"}
    page = auditor.post("/audit/searches/save/", fields, follow=True)
    assert "The search is saved." in page.content.decode()
    page = auditor.post("/audit/searches/save/", {"name": " x", "act": "node"}, follow=True)
    assert "in place of the one that had this name" in page.content.decode()
    auditor.post(f"/audit/searches/{SavedSearch.objects.get().pk}/delete/")
    events = Event.objects.filter(act__endswith="_search").order_by("id")
    first, second, third = (Reading(event).changes for event in events)
    assert [c["old"] for c in first] == [None, None]
    assert {c["field"]: (c["old"], c["new"]) for c in second} == {
        "outcome": ("denied", None), "person": ("li.wei", None), "act": (None, "node"),
    }  # fmt: skip
    assert [(c["field"], c["old"], c["new"]) for c in third] == [("act", "node", None)]


def test_the_name_of_a_search_is_not_in_the_log(actor_of: ActorOf) -> None:
    auditor = actor_of("audit")
    made = actions.save_search(actor=auditor, name="Li Wei", wanted=DENIED)
    actions.delete_search(actor=auditor, search=made)
    for event in Event.objects.filter(act__endswith="_search").select_related("personal"):
        assert b"Li Wei" not in bytes(event.leaf)
        assert "Li Wei" not in (event.object_label, *event.personal.values.values())


def test_deleting_a_search_is_asked_for_with_its_name_made_visible(
    client_of: Callable[[str], Client],
) -> None:
    auditor = client_of("audit")
    auditor.post("/audit/searches/save/", {"name": "a\u202eb", "outcome": "denied"})
    address = f"/audit/searches/{SavedSearch.objects.get().pk}/delete/"
    for page in (auditor.get("/audit/events/"), auditor.get(address)):
        assert "\u202e" not in page.content.decode()
        assert "Delete the saved search a&lt;U+202E&gt;b" in page.content.decode()
    assert f'href="{address}"' in auditor.get("/audit/events/").content.decode()
    assert SavedSearch.objects.exists()


def test_a_name_that_cannot_be_kept_is_refused(client_of: Callable[[str], Client]) -> None:
    auditor = client_of("audit")
    fields = {"name": "a\x00b", "outcome": "denied"}
    page = auditor.post("/audit/searches/save/", fields, follow=True)
    assert "no event has" in page.content.decode()
    assert not SavedSearch.objects.exists()


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


@pytest.mark.parametrize(
    "span", ["start=2999-01-01", "end=2001-01-01", "start=2000-01-01&end=2001-01-01"]
)
def test_a_time_without_events_has_no_bars(client_of: Callable[[str], Client], span: str) -> None:
    answer = client_of("audit").get(f"/audit/events/counts/?{span}")
    assert answer.status_code == 200
    assert (answer.json()["starts"], answer.json()["counts"]) == ([], [])


def test_the_newest_events_have_a_bar_however_long_ago_the_filter_begins(happen: Happen) -> None:
    happen(Act.NODE_REMOVE)
    found = counts.over_time(Filter.parse({"start": "1990-01-01", "act": "node.remove"}))
    assert (found.counts[-1], len(found.counts)) == (1, 1)


@pytest.mark.parametrize("days", [1, 59, 60, 419, 421, 1735, 1736, 1737, 4000, 20_000])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Shanghai"])
def test_the_bars_reach_from_the_oldest_event_to_the_newest(
    happen: Happen, days: int, zone: str
) -> None:
    at(timezone.now() - timedelta(days=days), Act.NODE_REMOVE, Actor.system("tests"))
    happen(Act.NODE_REMOVE)
    with timezone.override(zone):
        found = counts.over_time(Filter.parse({"start": "1970-01-02", "act": "node.remove"}))
    assert len(found.counts) <= counts.MOST
    assert (found.counts[0], sum(found.counts), found.counts[-1]) == (1, 2, 1)


def test_hours_go_on_when_the_clock_is_changed(happen: Happen) -> None:
    """In New York 2025-11-02 had 25 hours and 2025-03-09 had 23."""
    at(datetime(2025, 1, 1, tzinfo=UTC), Act.NODE_REMOVE, Actor.system("tests"))
    with timezone.override("America/New_York"):
        for day, hours in (("2025-11-02", 25), ("2025-03-09", 23)):
            found = counts.over_time(Filter.parse({"start": day, "end": day}))
            assert len(found.starts) == hours
            assert {b - a for a, b in pairwise(found.starts)} == {counts.HOUR}


def test_a_question_of_the_chart_is_a_search(
    client_of: Callable[[str], Client], happen: Happen
) -> None:
    happen()
    searches = Event.objects.filter(act="audit.search")
    auditor = client_of("audit")
    auditor.get("/audit/events/counts/?person=mallory")
    assert searches.count() == 1
    assert b"mallory" not in bytes(searches.get().leaf)
    auditor.get("/audit/events/?person=mallory")
    assert searches.count() == 1


def test_the_chart_of_a_page_adds_nothing_to_its_event(client_of: Callable[[str], Client]) -> None:
    auditor = client_of("audit")
    page = auditor.get("/audit/events/?act=node&start=2026-01-01&end=2026-02-01T10:00")
    [address] = re.findall(r'data-counts="([^"]+)"', page.content.decode())
    assert auditor.get(html.unescape(address)).status_code == 200
    assert Event.objects.filter(act="audit.search").count() == 1


@pytest.mark.parametrize("far", ["end=9999-12-31T23:59:59Z", "start=0001-01-01T00:00:00Z"])
def test_a_time_that_no_zone_has_is_refused(client_of: Callable[[str], Client], far: str) -> None:
    auditor = client_of("audit")
    with timezone.override("Asia/Shanghai"):
        answer = auditor.get(f"/audit/events/?{far}")
    assert answer.status_code == 422
    assert "between 1970 and 2999" in answer.content.decode()
    name, _sign, value = far.partition("=")
    Export.objects.create(format="csv", query={name: value}, language="en", requester="x")
    assert auditor.get("/audit/exports/").status_code == 200
