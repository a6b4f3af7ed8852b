"""The allow-list: nothing is deployed that the security administrator did not approve."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django import Settings

from access.errors import Denied, Invalid, WrongState
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from deployments import actions
from deployments.models import Approval, Deployment, Model, Node, StoredModel
from tests.conftest import run_all

ActorOf = Callable[[str], Actor]


@pytest.fixture
def unapproved(db: None) -> StoredModel:
    node = Node.objects.create(name="n", url="http://127.0.0.1:9", status="online")
    model = Model.objects.create(digest="a" * 64, name="m:1", licence="Be kind.")
    return StoredModel.objects.create(node=node, model=model, tag="m:1")


def deploy(actor_of: ActorOf, stored: StoredModel) -> Deployment:
    return actions.create_deployment(
        actor=actor_of("system"), name="x", model=stored.model, node=stored.node
    )


def test_a_model_without_approval_cannot_be_deployed(
    actor_of: ActorOf, unapproved: StoredModel
) -> None:
    with pytest.raises(WrongState, match=r"Security \(Security administrator\)"):
        deploy(actor_of, unapproved)
    assert not Deployment.objects.exists()


def test_with_approval_it_can(actor_of: ActorOf, unapproved: StoredModel) -> None:
    actions.approve_model(actor=actor_of("security"), model=unapproved.model, accept_licence=True)
    assert deploy(actor_of, unapproved).state == "starting"


def test_the_policy_can_be_switched_off(
    actor_of: ActorOf, unapproved: StoredModel, settings: Settings
) -> None:
    settings.REQUIRE_MODEL_APPROVAL = False
    assert deploy(actor_of, unapproved).state == "starting"


def test_a_licence_must_be_accepted(actor_of: ActorOf, unapproved: StoredModel) -> None:
    with pytest.raises(Invalid) as refused:
        actions.approve_model(actor=actor_of("security"), model=unapproved.model)
    assert refused.value.field == "accept_licence"
    assert not Approval.objects.exists()


def test_it_is_recorded_once_with_the_licence(actor_of: ActorOf, unapproved: StoredModel) -> None:
    for _twice in range(2):
        approval = actions.approve_model(
            actor=actor_of("security"), model=unapproved.model, accept_licence=True
        )
    event = Event.objects.get(act="model.approve")
    assert approval.licence_sha256.encode() in bytes(event.leaf)
    assert approval.approver == "security"


@pytest.mark.parametrize("name", ["system", "audit", "member"])
def test_others_may_not_approve(actor_of: ActorOf, unapproved: StoredModel, name: str) -> None:
    for verb in (actions.approve_model, actions.revoke_approval):
        with pytest.raises(Denied):
            verb(actor=actor_of(name), model=unapproved.model)


def test_approval_outlives_the_last_copy(actor_of: ActorOf, unapproved: StoredModel) -> None:
    actions.approve_model(actor=actor_of("security"), model=unapproved.model, accept_licence=True)
    Model.objects.all().delete()
    assert Approval.objects.get().digest == "a" * 64


def test_without_approval_a_stopped_deployment_stays_stopped(
    actor_of: ActorOf, deployment: Deployment, model: Model
) -> None:
    actions.revoke_approval(actor=actor_of("security"), model=model)
    assert Event.objects.filter(act="model.revoke_approval").count() == 1
    actions.stop(actor=actor_of("system"), deployment=deployment)
    run_all()
    with pytest.raises(WrongState, match="not approved"):
        actions.start(actor=actor_of("system"), deployment=deployment)
