"""Two at the same moment, really: administrators who change one thing, rounds of the reconciler."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from access.errors import Refusal, WrongState
from audit.ledger.actor import Actor
from deployments import actions, reconcile
from deployments.models import Deployment, Model, Node, Operation, StoredModel
from deployments.placement import Placement

pytestmark = pytest.mark.django_db(transaction=True)
ActorOf = Callable[[str], Actor]


def at_once(*works: Callable[[], object]) -> list[object]:
    """What came of each; all begin at the same moment, each with a connection of its own."""
    gate = threading.Barrier(len(works))
    found: list[object] = []

    def run(work: Callable[[], object]) -> None:
        try:
            gate.wait()
            found.append(work())
        except Refusal as refusal:
            found.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


@pytest.fixture
def model(actor_of: ActorOf) -> Model:
    """Stored on two nodes that said so, approved."""
    made = Model.objects.create(digest="d" * 64, content="c" * 64, name="small", size_bytes=1)
    for name in ("a", "b"):
        node = Node.objects.create(name=name, url=f"http://127.0.0.1:9/{name}", status="online")
        StoredModel.objects.create(node=node, model=made, tag="small:1")
    actions.approve_model(actor=actor_of("security"), model=made, accept_licence=True)
    return made


def made_of(model: Model, actor_of: ActorOf, name: str) -> Deployment:
    return actions.create_deployment(
        actor=actor_of("system"), name=name, model=model, placement=Placement(replicas=2)
    )


def test_of_two_who_change_at_the_same_moment_one_is_told(model: Model, actor_of: ActorOf) -> None:
    made, actor = made_of(model, actor_of, "claims"), actor_of("system")

    def change(prompt: str) -> Callable[[], object]:
        return lambda: actions.change(
            actor=actor,
            deployment=Deployment.objects.get(pk=made.pk),
            model=model,
            system_prompt=prompt,
            version=made.version,
        )

    found = at_once(change("Mine."), change("No, mine."))
    refused = [each for each in found if isinstance(each, Refusal)]
    assert [type(each) for each in refused] == [WrongState]
    assert "Somebody changed it meanwhile" in str(refused[0])
    made.refresh_from_db()
    assert made.revisions.count() == 2
    assert made.target is not None
    assert made.target.system_prompt in ("Mine.", "No, mine.")


def test_rounds_of_two_reconcilers_do_nothing_twice(model: Model, actor_of: ActorOf) -> None:
    names = [f"claims-{number}" for number in range(6)]
    for name in names:
        made_of(model, actor_of, name)
    Operation.objects.update(state="succeeded")  # nobody did them: each is a gap
    at_once(*[reconcile.reconcile] * 4)
    repairs = Operation.objects.filter(kind="repair", state="queued")
    assert sorted(repairs.values_list("subject", flat=True)) == names
    assert at_once(*[reconcile.reconcile] * 4) == [[], [], [], []]
