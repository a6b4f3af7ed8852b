"""Notes beside events, and cases: collected, noted, handed over as one archive that verifies."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from django.test import Client

from access.errors import Denied, Invalid, Missing, WrongState
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.models import Event
from audit.office import actions, search, weeks
from audit.office.filters import Filter
from audit.office.models import Case, CaseEvent, CaseNote, EventNote
from tests.audit.conftest import Guarded, Happen

ActorOf = Callable[[str], Actor]
SECRET = "Zhang San told me in confidence"


@pytest.fixture
def case(actor_of: ActorOf) -> Case:
    return actions.open_case(actor=actor_of("audit"), title="  Somebody   read too much ")


def test_a_note_is_kept_beside_the_event_and_its_text_is_not_in_the_log(
    happen: Happen, actor_of: ActorOf
) -> None:
    event = happen()
    before = bytes(Event.objects.get(pk=event.id).leaf)
    actions.note_event(actor=actor_of("audit"), event=event.id, text=SECRET)
    actions.note_event(actor=actor_of("audit"), event=event.id, text="And more")
    assert [note.text for note in EventNote.objects.all()] == [SECRET, "And more"]
    assert bytes(Event.objects.get(pk=event.id).leaf) == before
    recorded = Event.objects.filter(act="audit.note").order_by("id")[0]
    assert recorded.object_id == str(event.id)
    assert SECRET.encode() not in bytes(recorded.leaf)


@pytest.mark.parametrize("text", ["", "   ", "x" * 4001])
def test_a_note_has_words_and_not_too_many(happen: Happen, actor_of: ActorOf, text: str) -> None:
    with pytest.raises(Invalid):
        actions.note_event(actor=actor_of("audit"), event=happen().id, text=text)


def test_only_auditors_write_notes_and_keep_cases(
    happen: Happen, actor_of: ActorOf, case: Case
) -> None:
    event = happen().id
    for name in ("system", "security", "member"):
        with pytest.raises(Denied):
            actions.note_event(actor=actor_of(name), event=event, text="x")
        with pytest.raises(Denied):
            actions.open_case(actor=actor_of(name), title="x")
        with pytest.raises(Denied):
            actions.add_to_case(actor=actor_of(name), case=case, events=[event])


def test_events_are_collected_once_and_what_is_not_there_is_refused(
    happen: Happen, actor_of: ActorOf, case: Case
) -> None:
    ids = [happen().id for _ in range(25)]
    auditor = actor_of("audit")
    assert actions.add_to_case(actor=auditor, case=case, events=ids) == 25
    assert actions.add_to_case(actor=auditor, case=case, events=ids[:3]) == 0
    recorded = Event.objects.filter(act="case.add")
    assert recorded.count() == 2, "an event of the log names at most twenty things"
    found = search.page(Filter.parse({"object": str(ids[7])}))
    assert "case.add" in {event.act for event in found.events}
    with pytest.raises(Missing):
        actions.add_to_case(actor=auditor, case=case, events=[uuid4()])
    with pytest.raises(Invalid):
        actions.add_to_case(actor=auditor, case=case, events=[])
    actions.take_from_case(actor=auditor, case=case, event=ids[0])
    assert CaseEvent.objects.count() == 24
    assert case.title == "Somebody read too much"


def test_a_closed_case_takes_nothing_in_until_it_is_opened_again(
    happen: Happen, actor_of: ActorOf, case: Case
) -> None:
    auditor, event = actor_of("audit"), happen().id
    actions.close_case(actor=auditor, case=case)
    for verb in (
        lambda: actions.add_to_case(actor=auditor, case=case, events=[event]),
        lambda: actions.close_case(actor=auditor, case=case),
    ):
        with pytest.raises(WrongState):
            verb()
    actions.note_case(actor=auditor, case=case, text="Closed, because it was a test.")
    assert CaseNote.objects.count() == 1
    actions.reopen_case(actor=auditor, case=case)
    assert actions.add_to_case(actor=auditor, case=case, events=[event]) == 1


def test_the_filter_of_a_case_finds_what_it_collects_and_nothing_else(
    happen: Happen, actor_of: ActorOf, case: Case
) -> None:
    ids = {happen(Act.NODE_REMOVE).id for _ in range(3)}
    happen()
    actions.add_to_case(actor=actor_of("audit"), case=case, events=list(ids))
    wanted = Filter.parse({"case": str(case.pk)})
    assert {event.pk for event in search.page(wanted).events} == ids
    assert {event.pk for event in search.events(wanted)} == ids
    both = Filter.parse({"case": str(case.pk), "act": "node.register"})
    assert search.page(both).events == []
    with pytest.raises(Invalid):
        Filter.parse({"case": "7"})


def test_chosen_events_go_into_a_new_case_from_the_page(
    happen: Happen, client_of: Callable[[str], Client]
) -> None:
    ids = [str(happen().id) for _ in range(2)]
    auditor = client_of("audit")
    page = auditor.get("/audit/events/").content.decode()
    assert f'value="{ids[0]}"' in page
    auditor.post("/audit/cases/add/", {"event": ids, "title": "Leaver", "back": "//evil.example/"})
    case = Case.objects.get()
    assert case.items.count() == 2
    shown = auditor.get(f"/audit/cases/{case.pk}/").content.decode()
    assert "Leaver" in shown
    auditor.post(f"/audit/events/{ids[0]}/note/", {"text": "<script>alert(1)</script>"})
    detail = auditor.get(f"/audit/events/{ids[0]}/").content.decode()
    assert "&lt;script&gt;" in detail
    assert "Leaver" in detail


def test_a_note_that_is_too_long_stands_in_its_form_again(
    happen: Happen, client_of: Callable[[str], Client], case: Case
) -> None:
    auditor, note = client_of("audit"), "what I saw" + "!" * 4000
    for address in (f"/audit/events/{happen().id}/", f"/audit/cases/{case.pk}/"):
        page = auditor.post(f"{address}note/", {"text": note})
        assert page.status_code == 422
        assert note in page.content.decode() and 'aria-invalid="true"' in page.content.decode()
        assert auditor.post(f"{address}note/", {"text": "short"}).headers["location"] == address
        assert "short" in auditor.get(address).content.decode()


def test_where_to_go_back_to_stays_in_the_house(
    happen: Happen, client_of: Callable[[str], Client]
) -> None:
    answer = client_of("audit").post(
        "/audit/cases/add/", {"event": str(happen().id), "title": "x", "back": "//evil.example/"}
    )
    assert answer.headers["location"] == "/audit/events/"


def test_the_database_itself_keeps_notes_as_they_were(guarded: Guarded) -> None:
    with psycopg.connect(guarded.web) as connection:
        for table in ("office_eventnote", "office_casenote", "office_alarmword"):
            for change in (f"UPDATE {table} SET text = 'x'", f"DELETE FROM {table}"):
                with (
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                    connection.transaction(),
                ):
                    connection.execute(change)


def test_the_home_answers_at_one_look(
    happen: Happen, client_of: Callable[[str], Client], case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(12):
        happen(Act.AUTHZ_DENIED, outcome="denied")
    assert all(m.usual is None and not m.is_unusual for m in weeks.now())
    monkeypatch.setattr(weeks, "_is_young", lambda _end: False)
    found = {str(m.title): m for m in weeks.now()}
    assert (found["Refusals"].count, found["Refusals"].is_unusual) == (12, True)
    page = client_of("audit").get("/").content.decode()
    for words in ("Is the log whole?", "Who else has seen it?", "This week", "unusual", case.title):
        assert words in page


def test_a_small_change_is_nothing_unusual() -> None:
    assert not weeks.Measure("x", 9, 0, {}).is_unusual
    assert not weeks.Measure("x", 40, 25, {}).is_unusual
    assert weeks.Measure("x", 60, 25, {}).is_unusual
    assert weeks.Measure("x", 0, 25, {}).is_unusual
