"""Keys, teams and grants: each verb does it, records it, and is refused to the wrong role."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from access import actions, policy
from access.errors import Denied, Invalid, WrongState
from access.models import Grant, Key, Membership, Team, User
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.models import Event
from deployments.models import Deployment

ActorOf = Callable[[str], Actor]


@pytest.fixture
def target(db: None) -> Deployment:
    return Deployment.objects.create(name="claims", state="stopped")


def acts() -> list[str]:
    return list(Event.objects.order_by("id").values_list("act", flat=True))


def test_a_secret_is_stored_as_a_hash_only(actor_of: ActorOf, people: dict[str, User]) -> None:
    key, secret = actions.issue_key(actor=actor_of("security"), owner=people["member"], name="mine")
    assert secret.startswith("fbx_")
    assert len(secret) == 47
    key.refresh_from_db()
    assert bytes(key.sha256) == hashlib.sha256(secret.encode()).digest()
    assert secret.encode() not in b"".join(bytes(e.leaf) for e in Event.objects.all())
    assert acts()[-1] == "key.issue"


def test_a_key_needs_a_name_and_a_future(actor_of: ActorOf, people: dict[str, User]) -> None:
    for name, days, field in [("", 1, "name"), ("x" * 81, 1, "name"), ("x", -1, "expires_at")]:
        with pytest.raises(Invalid) as refused:
            actions.issue_key(
                actor=actor_of("security"),
                owner=people["member"],
                name=name,
                expires_at=timezone.now() + timedelta(days=days),
            )
        assert refused.value.field == field
    assert not Key.objects.exists()


def test_a_disabled_account_gets_no_key(actor_of: ActorOf, people: dict[str, User]) -> None:
    actions.disable_user(actor=actor_of("security"), user=people["mallory"])
    with pytest.raises(WrongState):
        actions.issue_key(actor=actor_of("security"), owner=people["mallory"], name="x")


def test_one_revokes_ones_own_key_but_not_anothers(
    actor_of: ActorOf, people: dict[str, User]
) -> None:
    key, _secret = actions.issue_key(actor=actor_of("security"), owner=people["member"], name="x")
    with pytest.raises(Denied):
        actions.revoke_key(actor=actor_of("mallory"), key=key)
    assert not Key.objects.filter(revoked_at__isnull=False).exists()
    actions.revoke_key(actor=actor_of("member"), key=key)
    actions.revoke_key(actor=actor_of("member"), key=key)
    assert acts().count("key.revoke") == 1


@pytest.mark.parametrize("name", ["system", "audit", "member"])
def test_only_the_security_office_grants(
    actor_of: ActorOf, people: dict[str, User], target: Deployment, name: str
) -> None:
    team = Team.objects.create(name="claims team")
    with pytest.raises(Denied):
        actions.grant(
            actor=actor_of(name), deployment_id=target.pk, deployment_name="claims", team=team
        )
    with pytest.raises(Denied):
        actions.issue_key(actor=actor_of(name), owner=people["member"], name="x")
    with pytest.raises(Denied):
        actions.create_team(actor=actor_of(name), name="x")
    assert not Grant.objects.exists()


def test_a_grant_reaches_the_members_of_the_team_while_they_are_in_it(
    actor_of: ActorOf, people: dict[str, User], target: Deployment
) -> None:
    security, member = actor_of("security"), actor_of("member")
    team = actions.create_team(actor=security, name="claims team")
    actions.add_member(actor=security, team=team, user=people["member"])
    actions.add_member(actor=security, team=team, user=people["member"])
    for _twice in range(2):
        row = actions.grant(
            actor=security, deployment_id=target.pk, deployment_name="claims", team=team
        )
    assert policy.can(member, Act.DEPLOYMENT_USE, target.pk)
    assert not policy.can(actor_of("mallory"), Act.DEPLOYMENT_USE, target.pk)
    actions.remove_member(actor=security, team=team, user=people["member"])
    assert not policy.can(member, Act.DEPLOYMENT_USE, target.pk)
    actions.revoke_grant(actor=security, row=row)
    assert not Grant.objects.exists()
    assert acts()[-5:] == [
        "team.create",
        "team.add_member",
        "grant.create",
        "team.remove_member",
        "grant.revoke",
    ]


def test_deleting_a_team_takes_its_grants_back(
    actor_of: ActorOf, people: dict[str, User], target: Deployment
) -> None:
    security = actor_of("security")
    team = actions.create_team(actor=security, name="t")
    actions.add_member(actor=security, team=team, user=people["member"])
    actions.grant(actor=security, deployment_id=target.pk, deployment_name="claims", team=team)
    actions.delete_team(actor=security, team=team)
    assert (Grant.objects.count(), Membership.objects.count()) == (0, 0)
    assert acts()[-2:] == ["grant.revoke", "team.delete"]


def test_a_grant_is_to_one_holder(actor_of: ActorOf, target: Deployment) -> None:
    with pytest.raises(Invalid):
        actions.grant(actor=actor_of("security"), deployment_id=target.pk, deployment_name="claims")


@pytest.mark.django_db(transaction=True)
def test_a_grant_names_a_deployment_that_exists(people: dict[str, User], actor_of: ActorOf) -> None:
    from django.db import IntegrityError

    with pytest.raises(IntegrityError):
        actions.grant(
            actor=actor_of("security"),
            deployment_id=uuid.uuid4(),
            deployment_name="ghost",
            user=people["member"],
        )
    assert not Grant.objects.exists()
    assert "grant.create" not in acts()
