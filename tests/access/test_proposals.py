"""Proposals: asked for by one, decided by another, applied exactly as asked, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from pytest_django import Settings

from access import actions, second_person
from access.errors import Denied, Invalid, WrongState
from access.models import Proposal, Team, User
from access.roles import Role
from access.second_person import Line
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event, Mention

ActorOf = Callable[[str], Actor]
Ask = Callable[..., Proposal]


def fingerprint(arguments: Mapping[str, Any]) -> str:
    """Which team there is: another one, and the proposal is outdated."""
    teams = Team.objects.select_for_update().order_by("name")
    return "-".join(["teams", *(team.name for team in teams)])


def apply(actor: Actor, arguments: Mapping[str, Any]) -> object:
    return actions.create_team(actor=actor, **arguments)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making a team, as an act that system or security administrators must approve."""
    second_person.acts()  # what is registered later is, by now
    monkeypatch.setattr(second_person, "_ways", dict(second_person._ways))
    roles = (Role.SECURITY, Role.SYSTEM)
    second_person.register(Act.TEAM_CREATE, roles=roles, apply=apply, fingerprint=fingerprint)


@pytest.fixture
def second(people: dict[str, User]) -> User:
    """A second security administrator."""
    made, _password = actions.create_user(
        actor=Actor.system("tests"), username="second", role="security"
    )
    User.objects.filter(pk=made.pk).update(must_change_password=False)
    people["second"] = made
    return made


@pytest.fixture
def ask(actor_of: ActorOf) -> Ask:
    def make(name: str = "claims", **given: Any) -> Proposal:
        values: dict[str, Any] = {
            "actor": actor_of("security"),
            "act": Act.TEAM_CREATE,
            "target": Obj("team", name, name),
            "difference": [Line("Name", None, name), Line("Head", None, "Li Wei", private=True)],
            "arguments": {"name": name, "description": "of the claims office"},
            "reason": "a new office",
        }
        return actions.request(**(values | given))

    return make


def leaf(event: Event) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(bytes(event.leaf))
    return value


def test_nothing_happens_before_a_second_person_approves(ask: Ask, actor_of: ActorOf) -> None:
    proposal = ask()
    assert proposal.is_waiting
    assert not Team.objects.exists()
    done = actions.approve(actor=actor_of("system"), proposal=proposal, answer="seen")
    assert done.state == "applied"
    assert done.approver_id is not None
    assert str(done.approver_id) == actor_of("system").id
    team = Team.objects.get()
    assert (team.name, team.description) == ("claims", "of the claims office")


def test_the_chain_is_in_the_log(ask: Ask, actor_of: ActorOf) -> None:
    proposal = ask()
    actions.approve(actor=actor_of("system"), proposal=proposal, answer="seen")
    asked, decided, applied = (
        leaf(Event.objects.get(act=act))
        for act in ("proposal.request", "proposal.approve", "team.create")
    )
    assert asked["actor"]["id"] == actor_of("security").id
    assert asked["authz"]["permission"] == "team.create"
    assert asked["chg"][0] == {"field": "Name", "old": None, "new": "claims"}
    assert "Li Wei" not in str(asked) and asked["chg"][1]["new_c"]
    assert decided["actor"]["id"] == actor_of("system").id
    assert decided["details"]["sha256"] == asked["details"]["sha256"]
    assert applied["actor"]["id"] == actor_of("security").id
    assert applied["appr"] == {
        "id": str(proposal.pk),
        "approver": actor_of("system").id,
        "reason": "a new office",
    }
    assert applied["req"]["id"] == decided["req"]["id"]
    assert Mention.objects.filter(object_id=str(proposal.pk)).count() == 1


def test_what_is_recorded_afterwards_refers_to_no_proposal(ask: Ask, actor_of: ActorOf) -> None:
    actions.approve(actor=actor_of("system"), proposal=ask())
    actions.create_team(actor=actor_of("security"), name="another")
    assert "appr" not in leaf(Event.objects.filter(act="team.create").order_by("-id")[0])


def test_nobody_approves_their_own(ask: Ask, actor_of: ActorOf) -> None:
    proposal = ask()
    with pytest.raises(Invalid, match="another person"):
        actions.approve(actor=actor_of("security"), proposal=proposal)
    with pytest.raises(Invalid, match="another person"):
        actions.reject(actor=actor_of("security"), proposal=proposal, answer="no")
    assert not Team.objects.exists()


@pytest.mark.parametrize("who", ["audit", "member", "mallory"])
def test_another_role_does_not_approve(ask: Ask, actor_of: ActorOf, who: str) -> None:
    proposal = ask()
    with pytest.raises(Denied):
        actions.approve(actor=actor_of(who), proposal=proposal)
    with pytest.raises(Denied):
        actions.approve(actor=Actor.system("beat"), proposal=proposal)
    assert Proposal.objects.get().state == "waiting"


def test_who_may_not_do_it_may_not_ask_for_it(ask: Ask, actor_of: ActorOf) -> None:
    for who in ("system", "audit", "member"):
        with pytest.raises(Denied):
            ask(actor=actor_of(who))
    with pytest.raises(Invalid, match="A person must ask"):
        ask(actor=Actor.system("manage.py"))
    assert not Proposal.objects.exists()


def test_a_reason_is_needed(ask: Ask) -> None:
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(Invalid, match="Say why"):
            ask(reason=reason)


def test_it_is_outdated_when_the_world_has_changed(ask: Ask, actor_of: ActorOf) -> None:
    proposal = ask()
    actions.create_team(actor=actor_of("security"), name="in between")
    with pytest.raises(WrongState, match="changed by somebody else"):
        actions.approve(actor=actor_of("system"), proposal=proposal)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.approver_id) == ("outdated", None)
    assert [t.name for t in Team.objects.all()] == ["in between"]
    refused = Event.objects.get(act="proposal.approve")
    assert refused.outcome == "failure"


def test_it_is_outdated_when_the_act_refuses(ask: Ask, actor_of: ActorOf) -> None:
    proposal = ask(name="x" * 81)
    with pytest.raises(WrongState, match="1 to 80 characters"):
        actions.approve(actor=actor_of("system"), proposal=proposal)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.approver_id) == ("outdated", None)
    assert "1 to 80 characters" in proposal.answer


def test_it_is_outdated_when_the_one_who_asked_lost_the_right(
    ask: Ask, actor_of: ActorOf, second: User, people: dict[str, User]
) -> None:
    proposal = ask()
    actions.set_role(actor=actor_of("second"), user=people["security"], role="member")
    with pytest.raises(WrongState, match="permission"):
        actions.approve(actor=actor_of("system"), proposal=proposal)
    assert Proposal.objects.get().state == "outdated"
    assert not Team.objects.exists()


def test_an_expired_one_is_not_applied(ask: Ask, actor_of: ActorOf) -> None:
    proposal = ask(open_for=timedelta(microseconds=1))
    with pytest.raises(WrongState, match="in time"):
        actions.approve(actor=actor_of("system"), proposal=proposal)
    proposal.refresh_from_db()
    assert proposal.state == "expired"
    assert not Team.objects.exists()
    assert Event.objects.filter(act="proposal.expire").exists()


def test_what_nobody_decided_expires(ask: Ask) -> None:
    ask(open_for=timedelta(microseconds=1))
    kept = ask(name="kept")
    assert actions.expire_proposals(actor=Actor.system("beat")) == 1
    assert actions.expire_proposals(actor=Actor.system("beat")) == 0
    assert list(Proposal.objects.waiting()) == [kept]
    assert Event.objects.filter(act="proposal.expire").count() == 1


def test_it_can_be_refused_with_a_reason(ask: Ask, actor_of: ActorOf) -> None:
    proposal = ask()
    with pytest.raises(Invalid, match="Say why"):
        actions.reject(actor=actor_of("system"), proposal=proposal, answer=" ")
    actions.reject(actor=actor_of("system"), proposal=proposal, answer="there is one")
    with pytest.raises(WrongState, match="decided already"):
        actions.approve(actor=actor_of("system"), proposal=proposal)
    assert not Team.objects.exists()
    assert leaf(Event.objects.get(act="proposal.reject"))["reason"] == "there is one"


def test_only_the_one_who_asked_withdraws(ask: Ask, actor_of: ActorOf) -> None:
    proposal = ask()
    with pytest.raises(Invalid, match="Only the one who asked"):
        actions.withdraw(actor=actor_of("system"), proposal=proposal)
    actions.withdraw(actor=actor_of("security"), proposal=proposal)
    assert Proposal.objects.get().state == "withdrawn"
    with pytest.raises(WrongState):
        actions.withdraw(actor=actor_of("security"), proposal=proposal)


def test_it_is_not_asked_of_nobody(ask: Ask, actor_of: ActorOf, people: dict[str, User]) -> None:
    second_person.register(Act.TEAM_CREATE, roles=(Role.SECURITY,), apply=apply)
    with pytest.raises(WrongState, match="Nobody else could approve"):
        ask()


def test_a_small_house_may_do_without_and_it_shows(
    ask: Ask, settings: Settings, actor_of: ActorOf
) -> None:
    settings.SECOND_PERSON = False
    proposal = ask()
    assert (proposal.state, proposal.alone, proposal.approver_id) == ("applied", True, None)
    assert Team.objects.get().name == "claims"
    assert leaf(Event.objects.get(act="team.create"))["appr"]["approver"] == ""


def sql(statement: str, *values: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


DECIDE = "UPDATE access_proposal SET state = %s, approver_id = %s, decided_at = now()"


def test_the_database_wants_another_person_of_the_role(
    ask: Ask, people: dict[str, User], second: User
) -> None:
    ask()
    for who in ("security", "audit", "member"):
        with pytest.raises(DatabaseError, match=r"another person|one of the roles"):
            sql(DECIDE, "applied", people[who].pk)
    User.objects.filter(pk=second.pk).update(is_active=False)
    with pytest.raises(DatabaseError, match="is active"):
        sql(DECIDE, "applied", second.pk)
    with pytest.raises(DatabaseError, match="another person"):
        sql(DECIDE, "applied", None)
    User.objects.filter(pk=second.pk).update(is_active=True)
    sql(DECIDE, "applied", second.pk)
    with pytest.raises(DatabaseError, match="decided once"):
        sql(DECIDE, "refused", second.pk)


@pytest.mark.parametrize(
    "change",
    [
        "arguments = '{}'",
        "difference = '[]'",
        "reason = 'other'",
        "roles = '[\"audit\"]'",
        "expires_at = now() + interval '20 days'",
        "target_id = 'other'",
        "fingerprint = ''",
        "requester_id = (SELECT id FROM access_user WHERE username = 'audit')",
    ],
)
def test_the_database_keeps_what_was_asked_for(
    ask: Ask, people: dict[str, User], change: str
) -> None:
    ask()
    with pytest.raises(DatabaseError, match="stays as it is"):
        sql(f"{DECIDE}, {change}", "refused", people["system"].pk)


def test_the_database_lets_none_expire_late_or_vanish(ask: Ask, people: dict[str, User]) -> None:
    ask(open_for=timedelta(microseconds=1))
    with pytest.raises(DatabaseError, match="has expired"):
        sql(DECIDE, "applied", people["system"].pk)
    with pytest.raises(DatabaseError, match=r"not deleted|permission denied"):
        sql("DELETE FROM access_proposal")
    with pytest.raises(DatabaseError, match="begins by waiting"):
        sql(
            "INSERT INTO access_proposal SELECT (jsonb_populate_record(p, jsonb_build_object("
            "'id', gen_random_uuid(), 'state', 'applied', 'approver_id', %s::text,"
            " 'decided_at', now()))).* FROM access_proposal p",
            str(people["system"].pk),
        )


@pytest.mark.django_db(transaction=True)
def test_two_who_approve_at_once_apply_it_once(ask: Ask, actor_of: ActorOf, second: User) -> None:
    proposal = ask()
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def decide(who: Actor) -> None:
        try:
            barrier.wait(30)
            actions.approve(actor=who, proposal=proposal)
            outcomes.append("applied")
        except WrongState:
            outcomes.append("late")
        finally:
            connection.close()

    threads = [
        threading.Thread(target=decide, args=(actor_of(name),)) for name in ("system", "second")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["applied", "late"]
    assert Team.objects.count() == 1
    assert Event.objects.filter(act="proposal.approve", outcome="success").count() == 1


ClientOf = Callable[[str], Client]


def test_the_inbox_shows_the_difference_and_applies_it(ask: Ask, client_of: ClientOf) -> None:
    proposal = ask()
    client = client_of("system")
    page = client.get("/proposals/").content.decode()
    assert '<span class="count">1' in page and "a new office" in page
    detail = client.get(f"/proposals/{proposal.pk}/").content.decode()
    assert "Li Wei" in detail and "Approve and apply" in detail
    answer = client.post(f"/proposals/{proposal.pk}/approve/", {"answer": "seen"}, follow=True)
    assert "applied as it was asked for" in answer.content.decode()
    assert Team.objects.get().name == "claims"
    assert '<span class="count">' not in client.get("/proposals/").content.decode()


def test_the_one_who_asked_is_offered_to_withdraw_only(ask: Ask, client_of: ClientOf) -> None:
    proposal = ask()
    client = client_of("security")
    detail = client.get(f"/proposals/{proposal.pk}/").content.decode()
    assert "Withdraw" in detail and "Approve and apply" not in detail
    assert '<span class="count">' not in detail
    answer = client.post(f"/proposals/{proposal.pk}/approve/", follow=True).content.decode()
    assert "another person must decide" in answer
    failed = Event.objects.get(act="proposal.approve")
    assert failed.outcome == "failure"
    client.post(f"/proposals/{proposal.pk}/withdraw/")
    assert Proposal.objects.get().state == "withdrawn"


def test_what_was_asked_is_shown_as_text(ask: Ask, client_of: ClientOf) -> None:
    nasty = "<script>alert(1)</script>"
    proposal = ask(difference=[Line("Name", None, nasty)], reason=nasty)
    for path in ("/proposals/", f"/proposals/{proposal.pk}/"):
        page = client_of("system").get(path).content.decode()
        assert nasty not in page and "&lt;script&gt;" in page


def test_a_program_decides_with_a_persons_key(ask: Ask, client_of: ClientOf) -> None:
    proposal = ask()
    url = f"/api/v1/proposals/{proposal.pk}/"
    own = client_of("security").post(f"{url}approve/", {}, content_type="application/json")
    assert own.status_code == 422
    client = client_of("system")
    assert client.get("/api/v1/proposals/?state=waiting").json()["results"][0]["act"]
    assert client.post(f"{url}reject/", {}, content_type="application/json").status_code == 422
    done = client.post(f"{url}approve/", {"answer": "ok"}, content_type="application/json")
    assert (done.status_code, done.json()["state"]) == (200, "applied")
    again = client.post(f"{url}approve/", {}, content_type="application/json")
    assert again.status_code == 409


def test_the_command_lists_them(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    proposal = ask()
    call_command("proposal", "list", "--waiting")
    assert f"{proposal.pk}  waiting  team.create  claims  security" in capsys.readouterr().out
    call_command("proposal", "show", str(proposal.pk))
    assert "Name: None -> claims" in capsys.readouterr().out
