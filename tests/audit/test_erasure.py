"""Erasing a person: decided by two, done by a worker, restricted where something must stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import Settings

from access import actions as access
from access.errors import Denied, Invalid, WrongState
from access.models import User
from audit.ledger import erasing
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event, Personal
from audit.office import actions, erasures, runs, search
from audit.office.content import keeping, restricted, store
from audit.office.content.keys import KeyGone
from audit.office.filters import Filter
from audit.office.models import (
    CapturePolicy,
    Content,
    Erasure,
    Export,
    Hold,
    RunState,
    SeenAddress,
)
from audit.office.reading import Reading
from tests.audit.conftest import Happen
from tests.audit.test_content import DEPLOYMENT, ActorOf, keep, keys, opened, policy

__all__ = ["keys", "policy"]


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    restricted.forget()


@pytest.fixture
def no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if everything had happened more than 183 days ago."""
    monkeypatch.setattr(keeping, "floor", lambda: -timedelta(minutes=1))


@pytest.fixture
def leaver(
    people: dict[str, User], actor_of: ActorOf, happen: Happen, policy: CapturePolicy
) -> User:
    """A colleague who did things, to whom things were done, and who has left."""
    person = people["mallory"]
    happen(Act.AUTHZ_DENIED, name="mallory", id=str(person.pk), ip="10.9.8.7")
    happen(
        Act.TEAM_ADD_MEMBER,
        Obj("team", "t", "claims"),
        person.as_obj(),
        name="security",
        id=str(people["security"].pk),
        ip="10.0.0.1",
    )
    happen(Act.AUTH_LOGIN, name="Mallory", id="", ip="10.9.8.7", outcome="failure")
    keep(policy, person)
    access.disable_user(actor=actor_of("system"), user=person)
    person.refresh_from_db()
    return person


def erase(person: User, actor_of: ActorOf) -> Erasure:
    asked = actions.request_erasure(
        actor=actor_of("security"), person=person, basis="request", reason="asked in a letter"
    )
    access.approve(actor=actor_of("audit"), proposal=asked)
    erasures.run()
    return Erasure.objects.get(person_id=person.pk)


def values_of(text: str) -> list[str]:
    found = Personal.objects.filter(values__icontains=text) | Personal.objects.filter(ip=text)
    return [str(row.values) for row in found]


def test_case_43_an_erased_person_is_gone_and_the_events_stay(
    leaver: User, actor_of: ActorOf, no_floor: None, people: dict[str, User]
) -> None:
    content, before = Content.objects.get(), Event.objects.count()
    scope = store.scope_of(content)
    done = erase(leaver, actor_of)
    assert (done.state, done.names, done.contents) == ("done", [], 1)
    assert values_of("mallory") == []
    assert values_of("10.9.8.7") == []
    assert not Content.objects.exists()
    with pytest.raises(KeyGone):
        store.keys().get(scope)
    with pytest.raises(KeyGone):
        store.keys().made(scope)
    assert Event.objects.count() > before
    # Who added them to a team is still told, and from where; whom is not.
    event = Event.objects.get(act="team.add_member")
    reading = Reading(event)
    assert (reading.who, reading.address) == ("security", "10.0.0.1")
    assert [obj["label"] for obj in reading.objects] == ["claims", ""]
    assert all(Reading(event).is_intact for event in Event.objects.all())
    assert search.page(Filter(person="mallory")).events == []
    assert search.page(Filter(address="10.9.8.7")).events == []


def test_the_account_is_a_number_that_cannot_come_back(
    leaver: User, actor_of: ActorOf, no_floor: None
) -> None:
    seen = {"network": "10.9.8.7", "last_at": timezone.now()}
    SeenAddress.objects.create(person_id=str(leaver.pk), **seen)
    SeenAddress.objects.create(person_id="somebody else", **seen)
    erase(leaver, actor_of)
    leaver.refresh_from_db()
    assert [row.person_id for row in SeenAddress.objects.all()] == ["somebody else"]
    assert leaver.username.startswith("erased-") and not leaver.display_name
    with pytest.raises(WrongState):
        access.enable_user(actor=actor_of("security"), user=leaver)
    with pytest.raises(WrongState):
        access.reset_password(actor=actor_of("security"), user=leaver)
    with pytest.raises(IntegrityError, match="erased_account_is_closed"), transaction.atomic():
        User.objects.filter(pk=leaver.pk).update(is_active=True)


def test_an_export_that_opened_names_is_offered_no_more(
    leaver: User,
    actor_of: ActorOf,
    settings: Settings,
    tmp_path: Path,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    """Whether it is finished or being made; what has commitments only stays, and so does what
    nobody began: it is made of what is shown then."""
    folder = settings.EXPORTS = tmp_path / "exports"
    folder.mkdir()

    def export(format: str, state: RunState, **query: str) -> Export:
        row = Export(format=format, state=state, query=query, language="en", requester="x")
        row.attempt = int(state != RunState.QUEUED)
        if state == RunState.DONE:
            row.stored = f"{row.pk}-1"
            (folder / row.stored).write_text("mallory")
        row.save()
        return row

    opened, looked_for, kept = (
        export("csv", RunState.DONE, act="node"),
        export("jsonl", RunState.DONE, person="Mallory"),
        export("jsonl", RunState.DONE),
    )
    running, waiting = export("xlsx", RunState.RUNNING), export("xlsx", RunState.QUEUED)
    with django_capture_on_commit_callbacks(execute=True):
        erase(leaver, actor_of)
    assert set(Export.objects.all()) == {kept, waiting}
    assert [file.name for file in folder.iterdir()] == [kept.stored]
    assert not runs.finish(running, RunState.DONE, stored=f"{running.pk}-1")
    assert not {opened, looked_for} & set(Export.objects.all())


def test_case_44_inside_the_floor_it_is_restricted_and_says_so(
    leaver: User, actor_of: ActorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = erase(leaver, actor_of)
    assert done.state == "restricted"
    assert "retention floor until" in done.kept_for
    said = Event.objects.get(act="user.restricted")
    assert b"retention floor until" in bytes(said.leaf)
    # Words have no floor: they are gone all the same.
    assert not Content.objects.exists()
    # Kept, and shown to nobody.
    assert values_of("10.9.8.7")
    reading = Reading(Event.objects.filter(actor_id=str(leaver.pk)).latest("id"))
    assert (reading.who, reading.address) == ("", "")
    assert reading.is_intact
    assert search.page(Filter(address="10.9.8.7")).events == [] or all(
        event.actor_id != str(leaver.pk) for event in search.page(Filter(address="10.9.8.7")).events
    )
    # When the floor has passed, the rest goes by itself.
    monkeypatch.setattr(keeping, "floor", lambda: -timedelta(minutes=1))
    Erasure.objects.update(due_at=done.created_at)
    erasures.run()
    done.refresh_from_db()
    assert done.state == "done"
    assert values_of("10.9.8.7") == []


@pytest.mark.parametrize("kind", ["person", "deployment", "period"])
def test_case_44_under_a_hold_nothing_is_erased_and_the_event_says_why(
    leaver: User, actor_of: ActorOf, no_floor: None, kind: str
) -> None:
    held = hold(actor_of, kind, leaver)
    done = erase(leaver, actor_of)
    assert (done.state, done.kept_for) == ("restricted", "legal hold")
    assert b"legal hold" in bytes(Event.objects.get(act="user.restricted").leaf)
    # Kept, and no second person opens it.
    assert store.opened(Content.objects.get()).answer == "So it is."
    assert actions.list_content(actor=actor_of("audit"), opening=opened(actor_of)) == []
    release(actor_of, held)
    erasures.run()
    done.refresh_from_db()
    assert done.state == "done"
    assert not Content.objects.exists()
    assert values_of("mallory") == []


def test_a_hold_that_comes_while_somebody_is_being_erased_is_kept(
    leaver: User, actor_of: ActorOf, no_floor: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again under the lock that setting a hold takes."""
    chosen = erasing.batches

    def batches(*given: Any) -> Iterator[erasing.Batch]:
        for batch in chosen(*given):
            hold(actor_of, "period", leaver)
            yield batch

    monkeypatch.setattr(erasing, "batches", batches)
    done = erase(leaver, actor_of)
    assert (done.state, done.kept_for) == ("restricted", "legal hold")
    assert values_of("mallory")


def hold(actor_of: ActorOf, kind: str, person: User) -> Hold:
    now = timezone.now()
    return actions.hold(
        actor=actor_of("audit"),
        kind=kind,
        value={"person": str(person.pk), "deployment": str(DEPLOYMENT)}.get(kind, ""),
        from_at=now - timedelta(days=1),
        to_at=now + timedelta(days=1),
        reason="suit",
    )


def release(actor_of: ActorOf, held: Hold) -> None:
    asked = actions.release_hold(actor=actor_of("audit"), hold=held, reason="settled")
    access.approve(actor=actor_of("security"), proposal=asked)


def test_an_account_that_is_open_is_not_erased(people: dict[str, User], actor_of: ActorOf) -> None:
    with pytest.raises(WrongState, match="still open"):
        actions.request_erasure(
            actor=actor_of("security"), person=people["member"], basis="request", reason="r"
        )


def test_nobody_erases_alone(leaver: User, actor_of: ActorOf) -> None:
    asked = actions.request_erasure(
        actor=actor_of("security"), person=leaver, basis="purpose", reason="left"
    )
    with pytest.raises(Invalid):
        access.approve(actor=actor_of("security"), proposal=asked)
    with pytest.raises(Denied):
        access.approve(actor=actor_of("system"), proposal=asked)
    assert not Erasure.objects.exists()


@pytest.mark.parametrize("who", ["system", "audit", "member"])
def test_others_cannot_ask_for_it(leaver: User, actor_of: ActorOf, who: str) -> None:
    with pytest.raises(Denied):
        actions.request_erasure(actor=actor_of(who), person=leaver, basis="request", reason="r")


def test_running_again_erases_nothing_more(leaver: User, actor_of: ActorOf, no_floor: None) -> None:
    done = erase(leaver, actor_of)
    count = Event.objects.filter(act="user.erased").count()
    actions.erase_more(actor=Actor.system("erasure"), erasure=done)
    assert Event.objects.filter(act="user.erased").count() == count


def test_an_old_copy_of_the_database_does_not_bring_anybody_back(
    leaver: User, actor_of: ActorOf, no_floor: None
) -> None:
    """The key folder knows who was erased; the restored database does not."""
    store.keys().destroy_person(leaver.pk)
    User.objects.filter(pk=leaver.pk).update(is_active=True)
    assert erasures.after_restore() == [leaver.pk]
    assert erasures.after_restore() == []
    erasures.run()
    leaver.refresh_from_db()
    assert not leaver.is_active and leaver.erased_at is not None
    assert values_of("10.9.8.7") == []


def test_pages_ask_and_say_how_far_it_is(
    leaver: User, client_of: Callable[..., object], settings: Settings, keys: Path
) -> None:
    client = client_of("security")
    page = client.post(  # type: ignore[attr-defined]
        f"/people/{leaver.pk}/erase/", {"basis": "request", "reason": "a letter"}
    )
    assert page.status_code == 302
    other = client_of("audit")
    from access.models import Proposal

    asked = Proposal.objects.get(act="user.erase")
    assert "mallory" not in str(asked.difference).lower() + asked.target_label
    assert other.post(f"/proposals/{asked.pk}/approve/", {}).status_code == 302  # type: ignore[attr-defined]
    erasures.run()
    shown = client.get(f"/people/{leaver.pk}/").content.decode()  # type: ignore[attr-defined]
    assert "kept and shown to nobody" in shown
