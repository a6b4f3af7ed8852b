"""People and roles: who may make whom, and that nobody holds two of the three offices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from access import actions, policy
from access.errors import Denied, Invalid, WrongState
from access.models import User
from access.roles import ROLE_ACTS, Role
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.models import Event

ActorOf = Callable[[str], Actor]


def last() -> Event:
    return Event.objects.order_by("-id")[0]


def test_an_account_begins_without_rights(actor_of: ActorOf) -> None:
    user, password = actions.create_user(
        actor=actor_of("system"), username="li.wei", display_name="李伟"
    )
    assert (user.role, user.must_change_password) == ("member", True)
    assert user.check_password(password)
    assert not policy.granted_deployment_ids(policy.actor_for(user))
    assert (last().act, last().outcome) == ("user.create", "success")
    assert "李伟".encode() not in bytes(last().leaf)
    assert b"li.wei" not in bytes(last().leaf)


@pytest.mark.parametrize("name", ["audit", "member", "mallory"])
def test_others_may_not_create_accounts(actor_of: ActorOf, name: str) -> None:
    with pytest.raises(Denied):
        actions.create_user(actor=actor_of(name), username="eve")
    assert not User.objects.filter(username="eve").exists()


@pytest.mark.parametrize("username", ["", "x", " ", "-a", "a b", "a\x00b", "x" * 65, "<script>"])
def test_an_impossible_user_name_is_refused(actor_of: ActorOf, username: str) -> None:
    with pytest.raises(Invalid) as refused:
        actions.create_user(actor=actor_of("system"), username=username)
    assert refused.value.field == "username"


def test_a_user_name_is_taken_whatever_its_case(actor_of: ActorOf) -> None:
    with pytest.raises(Invalid, match="taken"):
        actions.create_user(actor=actor_of("system"), username="MEMBER")


def test_two_people_make_an_administrator(actor_of: ActorOf) -> None:
    with pytest.raises(Invalid):
        actions.create_user(actor=actor_of("security"), username="eve", role="audit")
    eve, _password = actions.create_user(actor=actor_of("security"), username="eve")
    with pytest.raises(Invalid, match="Two people"):
        actions.set_role(actor=actor_of("security"), user=eve, role="audit")
    bob, _password = actions.create_user(actor=actor_of("system"), username="bob")
    actions.set_role(actor=actor_of("security"), user=bob, role="audit")
    bob.refresh_from_db()
    assert bob.role == "audit"


def test_nobody_changes_their_own_role(actor_of: ActorOf, people: dict[str, User]) -> None:
    with pytest.raises(Invalid):
        actions.set_role(actor=actor_of("security"), user=people["security"], role="system")


def test_the_last_of_an_office_stays(actor_of: ActorOf, people: dict[str, User]) -> None:
    with pytest.raises(WrongState):
        actions.set_role(actor=actor_of("security"), user=people["audit"], role="member")
    with pytest.raises(WrongState):
        actions.disable_user(actor=actor_of("security"), user=people["audit"])


@pytest.mark.parametrize("role", ["", "root", "system,audit", "superuser"])
def test_case_42_the_database_itself_knows_one_role_of_four(
    people: dict[str, User], role: str
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=people["member"].pk).update(role=role)


def test_the_database_keeps_service_accounts_out_of_office(actor_of: ActorOf) -> None:
    account = actions.create_service_account(actor=actor_of("security"), username="robot")
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=account.pk).update(role="audit")


# What takes two people is asked for by one office and decided by another; alarms reach all three.
# Any two administrators together may acknowledge that the log was rolled back.
TOGETHER = {
    Act.AUDIT_ACKNOWLEDGE, Act.ALARM_VIEW, Act.ALARM_ACKNOWLEDGE, Act.PROPOSAL_VIEW,
    Act.PROPOSAL_REQUEST, Act.PROPOSAL_APPROVE, Act.PROPOSAL_REJECT, Act.PROPOSAL_WITHDRAW,
}  # fmt: skip
# Retention and captured content are between the security office and the auditors.
BETWEEN = {
    Act.AUDIT_SET_RETENTION, Act.AUDIT_VIEW_RETENTION, Act.CAPTURE_VIEW, Act.CAPTURE_END,
    Act.CONTENT_CLOSE,
}  # fmt: skip


def test_case_42_the_three_offices_share_nothing_but_what_everybody_may() -> None:
    everyone = ROLE_ACTS[Role.MEMBER] | TOGETHER
    assert ROLE_ACTS[Role.SYSTEM] & ROLE_ACTS[Role.AUDIT] == everyone
    assert ROLE_ACTS[Role.SECURITY] & ROLE_ACTS[Role.AUDIT] == everyone | BETWEEN
    changes = {a for a in Act if a.recorded and not a.value.startswith(("auth", "user."))}
    assert not ROLE_ACTS[Role.SYSTEM] & ROLE_ACTS[Role.SECURITY] & (changes - everyone)


def test_a_disabled_person_is_out_at_once(
    actor_of: ActorOf, people: dict[str, User], client_of: Callable[[str], Client]
) -> None:
    browser = client_of("member")
    assert browser.get("/chat/").status_code == 200
    actions.disable_user(actor=actor_of("security"), user=people["member"])
    assert browser.get("/chat/").status_code == 302
    actions.enable_user(actor=actor_of("security"), user=people["member"])
    assert [e.act for e in Event.objects.order_by("id")][-2:] == ["user.disable", "user.enable"]


def test_a_reset_password_ends_sessions(
    actor_of: ActorOf, people: dict[str, User], client_of: Callable[[str], Client]
) -> None:
    browser = client_of("member")
    password = actions.reset_password(actor=actor_of("security"), user=people["member"])
    assert browser.get("/chat/").status_code == 302
    people["member"].refresh_from_db()
    assert people["member"].check_password(password)
    assert password.encode() not in b"".join(bytes(e.leaf) for e in Event.objects.all())


def test_ones_own_password_needs_the_present_one(
    actor_of: ActorOf, people: dict[str, User]
) -> None:
    member = people["member"]
    member.set_password("correct horse battery")
    member.save()
    for old, new, field in [
        ("wrong", "another long password", "old"),
        ("correct horse battery", "short", "new"),
        ("correct horse battery", "correct horse battery", "new"),
    ]:
        with pytest.raises(Invalid) as refused:
            actions.change_password(actor=actor_of("member"), user=member, old=old, new=new)
        assert refused.value.field == field
    actions.change_password(
        actor=actor_of("member"), user=member, old="correct horse battery", new="staple gun 42 moon"
    )
    assert last().act == "user.change_password"


def test_one_cannot_change_anothers_password(actor_of: ActorOf, people: dict[str, User]) -> None:
    with pytest.raises(Invalid):
        actions.change_password(actor=actor_of("system"), user=people["audit"], old="x", new="y")
