"""A rollout over three real nodes: opened when ready, taken back when it fails, never half made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from access.errors import Denied, Invalid, WrongState
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from deployments import actions, alarming, reconcile
from deployments import fleet as watch
from deployments.models import Deployment, Model, Node, Operation, Replica, Revision, StoredModel
from deployments.placement import Placement
from tests.conftest import run_all
from tests.deployments.test_lifecycle import gemma_file
from tests.fleet import RealNode

ActorOf = Callable[[str], Actor]
PAIR = Placement(replicas=2, strategy="one-by-one")


@pytest.fixture
def asked(actor_of: ActorOf, fleet: list[Node]) -> Deployment:
    """Asked for, two replicas node by node; no worker has begun."""
    return actions.create_deployment(
        actor=actor_of("system"),
        name="claims",
        model=smollm(),
        placement=PAIR,
        parameters={"num_ctx": 512},
    )


@pytest.fixture
def pair(asked: Deployment) -> Deployment:
    """Live on node-a and node-b."""
    run_all()
    return fresh(asked)


def smollm() -> Model:
    return Model.objects.get(stored__tag="smollm2:135m", stored__node__name="node-a")


def fresh(deployment: Deployment) -> Deployment:
    return Deployment.objects.get(pk=deployment.pk)


def change(actor_of: ActorOf, deployment: Deployment, **recipe: object) -> Revision:
    deployment = fresh(deployment)
    same = {"model": smollm(), "version": deployment.version, "parameters": {"num_ctx": 512}}
    fields = {**same, **recipe}
    return actions.change(actor=actor_of("system"), deployment=deployment, **fields)  # type: ignore[arg-type]


def ready(deployment: Deployment) -> dict[str, int]:
    """Node -> revision of what is in the route."""
    found = Replica.objects.filter(revision__deployment=deployment, state="ready")
    return dict(found.order_by("node__name").values_list("node__name", "revision__number"))


def look_again() -> None:
    """What the beat does: ask every node, then compare; attested long enough ago to be judged."""
    past = timezone.now() - timedelta(minutes=1)
    Replica.objects.exclude(attested_at=None).update(attested_at=past)
    Operation.objects.exclude(finished_at=None).update(finished_at=past)
    for node in Node.objects.all():
        watch.check(node, prove=True)
    reconcile.reconcile()
    run_all()


def test_each_replica_is_attested_and_has_answered(
    pair: Deployment, real_nodes: list[RealNode]
) -> None:
    assert pair.state == "live", pair.problem
    assert ready(pair) == {"node-a": 1, "node-b": 1}
    for real in real_nodes[:2]:
        replica = Replica.objects.get(node__url=real.url)
        assert real.api.digest_of("fusebox/claims:r1") == replica.digest
        assert "Paris" in replica.probe["text"]


def test_a_change_is_rolled_out_and_the_old_revision_kept(
    pair: Deployment, actor_of: ActorOf, real_nodes: list[RealNode]
) -> None:
    change(actor_of, pair, system_prompt="Answer in one sentence.")
    run_all()
    deployment = fresh(pair)
    assert ready(deployment) == {"node-a": 2, "node-b": 2}
    assert deployment.current.number == 2  # type: ignore[union-attr]
    assert deployment.previous.number == 1  # type: ignore[union-attr]
    for real in real_nodes[:2]:
        assert real.ours() == {"fusebox/claims:r1", "fusebox/claims:r2"}
        assert len(real.api.loaded()) == 1


def test_the_revision_before_the_last_is_removed(
    pair: Deployment, actor_of: ActorOf, real_nodes: list[RealNode]
) -> None:
    for prompt in ("One.", "Two."):
        change(actor_of, pair, system_prompt=prompt)
        run_all()
    for real in real_nodes[:2]:
        assert real.ours() == {"fusebox/claims:r2", "fusebox/claims:r3"}


def test_one_click_goes_back(pair: Deployment, actor_of: ActorOf) -> None:
    change(actor_of, pair, system_prompt="Answer in one sentence.")
    run_all()
    changed = fresh(pair)
    actions.rollback(actor=actor_of("system"), deployment=changed, version=changed.version)
    run_all()
    assert ready(pair) == {"node-a": 1, "node-b": 1}
    event = Event.objects.get(act="deployment.rollback")
    assert b'"old":2' in bytes(event.leaf)


def test_of_two_administrators_the_second_is_told(asked: Deployment, actor_of: ActorOf) -> None:
    seen = asked.version
    change(actor_of, asked, system_prompt="Mine.")
    with pytest.raises(WrongState, match="Somebody changed it meanwhile"):
        change(actor_of, asked, system_prompt="Also mine.", version=seen)
    assert fresh(asked).target.system_prompt == "Mine."  # type: ignore[union-attr]
    assert asked.revisions.count() == 2


def test_the_same_recipe_again_makes_no_revision(asked: Deployment, actor_of: ActorOf) -> None:
    assert change(actor_of, asked).number == 1
    assert asked.revisions.count() == 1


def test_no_revision_can_be_changed_or_deleted(asked: Deployment) -> None:
    revision = asked.revisions.get()
    with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
        Revision.objects.filter(pk=revision.pk).update(system_prompt="Other.")
    with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
        Revision.objects.filter(pk=revision.pk)._raw_delete("default")


@pytest.mark.parametrize("name", ["security", "audit", "member"])
def test_others_may_not(asked: Deployment, actor_of: ActorOf, name: str) -> None:
    given = {"actor": actor_of(name), "deployment": asked, "version": asked.version}
    for verb, more in (
        (actions.change, {"model": smollm()}),
        (actions.rollback, {}),
        (actions.place, {"placement": PAIR}),
    ):
        with pytest.raises(Denied):
            verb(**given, **more)  # type: ignore[arg-type]
    with pytest.raises(Denied):
        actions.restore(actor=actor_of(name), deployment=asked)


def test_a_model_that_cannot_load_is_taken_back_and_the_old_one_serves_on(
    pair: Deployment, actor_of: ActorOf, real_nodes: list[RealNode], tmp_path: Path
) -> None:
    path = gemma_file(tmp_path)
    for real in real_nodes:
        digest = real.api.upload(path, lambda _done, _total: None)
        list(real.api.create_from_file("gemma3:270m", path.name, digest))
    for node in Node.objects.all():
        watch.check(node)
    gemma = StoredModel.objects.filter(tag="gemma3:270m")[0].model
    with pytest.raises(WrongState, match="not approved"):
        change(actor_of, pair, model=gemma)
    actions.approve_model(actor=actor_of("security"), model=gemma, accept_licence=True)
    change(actor_of, pair, model=gemma)
    run_all()
    deployment = fresh(pair)
    assert deployment.state == "live"
    assert ready(deployment) == {"node-a": 1, "node-b": 1}
    assert "terminated" in str(deployment.setback)
    operation = deployment.operations.get(kind="rollout")
    assert operation.state == "failed"
    assert "terminated" in str(operation.problem)
    rolled_back = Event.objects.get(act="deployment.rolled_back")
    assert rolled_back.outcome == "failure"
    for real in real_nodes[:2]:
        assert real.ours() == {"fusebox/claims:r1"}
        real.api.delete("gemma3:270m")


def test_answers_have_the_schemas_shape(pair: Deployment, actor_of: ActorOf) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"type": "string", "maxLength": 40}},
        "required": ["capital"],
    }
    change(actor_of, pair, schema=schema)
    run_all()
    assert set(ready(pair).values()) == {2}, fresh(pair).setback
    assert '"capital"' in Replica.objects.filter(revision__number=2)[0].probe["text"]


@pytest.mark.parametrize(
    "schema",
    ["no json", "[]", '{"type": "nonsense"}', {"$ref": "http://127.0.0.1/x"}, "x" * 40_000],
)
def test_a_schema_that_is_none_is_refused(
    asked: Deployment, actor_of: ActorOf, schema: object
) -> None:
    with pytest.raises(Invalid) as refused:
        change(actor_of, asked, schema=schema)
    assert refused.value.field == "schema"
    assert asked.revisions.count() == 1


def test_a_tag_that_somebody_removed_is_made_again(
    pair: Deployment, real_nodes: list[RealNode]
) -> None:
    real_nodes[1].api.delete("fusebox/claims:r1")
    look_again()
    assert real_nodes[1].ours() == {"fusebox/claims:r1"}
    assert ready(pair) == {"node-a": 1, "node-b": 1}


def test_a_tag_that_somebody_changed_is_out_of_service_until_it_is_restored(
    pair: Deployment, actor_of: ActorOf, real_nodes: list[RealNode]
) -> None:
    api = real_nodes[1].api
    api.create_from("fusebox/claims:r1", "smollm2:135m", system="Say yes to all.", parameters={})
    look_again()
    assert ready(pair) == {"node-a": 1, "node-c": 1}
    [alarm] = alarming.open_about([Node.objects.get(name="node-b")])
    assert (alarm.rule, alarm.part) == ("changed_tag", "fusebox/claims:r1")
    assert Event.objects.filter(act="deployment.drift").count() == 1
    assert Event.objects.filter(act="alarm.raise").count() == 1
    actions.restore(actor=actor_of("system"), deployment=fresh(pair))
    run_all()
    assert not Replica.objects.filter(state="foreign").exists()
    assert len(ready(pair)) == 2


def test_tags_that_are_not_ours_are_never_touched(
    pair: Deployment, actor_of: ActorOf, real_nodes: list[RealNode]
) -> None:
    real = real_nodes[0]
    real.api.create_from("fusebox/other:r1", "smollm2:135m", system="Hi", parameters={})
    real.api.create_from("fusebox/claims:r9", "smollm2:135m", system="Hi", parameters={})
    look_again()
    actions.delete(actor=actor_of("system"), deployment=fresh(pair))
    run_all()
    assert real.ours() == {"fusebox/other:r1", "fusebox/claims:r9"}


def test_a_drained_node_is_emptied_and_another_takes_over(
    pair: Deployment, actor_of: ActorOf, fleet: list[Node], real_nodes: list[RealNode]
) -> None:
    actions.drain(actor=actor_of("system"), node=fleet[0])
    look_again()
    assert ready(pair) == {"node-b": 1, "node-c": 1}
    assert real_nodes[0].ours() == set()
    actions.remove_node(actor=actor_of("system"), node=fleet[0])


def test_a_node_that_is_all_there_is_cannot_be_drained(
    actor_of: ActorOf, fleet: list[Node]
) -> None:
    actions.create_deployment(
        actor=actor_of("system"), name="claims", model=smollm(), node=fleet[0]
    )
    run_all()
    with pytest.raises(WrongState, match="claims"):
        actions.drain(actor=actor_of("system"), node=fleet[0])


def test_labels_say_where(actor_of: ActorOf, fleet: list[Node]) -> None:
    actions.update_node(actor=actor_of("system"), node=fleet[2], labels=["Site=Lyon", "gpu"])
    made = actions.create_deployment(
        actor=actor_of("system"),
        name="claims",
        model=smollm(),
        placement=Placement(replicas=None, labels=["site=lyon"]),
    )
    run_all()
    assert ready(made) == {"node-c": 1}


def test_a_rollout_goes_on_when_a_node_comes_back(
    pair: Deployment, actor_of: ActorOf, fleet: list[Node], real_nodes: list[RealNode]
) -> None:
    actions.cordon(actor=actor_of("system"), node=fleet[2])
    real_nodes[1].kill()
    change(actor_of, pair, system_prompt="Answer in one sentence.")
    run_all()
    assert ready(pair) == {"node-a": 2}
    assert "1 of 2 replicas" in str(fresh(pair).problem)
    real_nodes[1].start()
    look_again()
    look_again()
    assert ready(pair) == {"node-a": 2, "node-b": 2}
    assert "fusebox/claims:r2" in real_nodes[1].ours()


def test_on_demand_is_not_kept_in_memory(
    pair: Deployment, actor_of: ActorOf, real_nodes: list[RealNode]
) -> None:
    assert "fusebox/claims:r1" in {m.name for m in real_nodes[0].api.loaded()}
    deployment = fresh(pair)
    actions.place(
        actor=actor_of("system"),
        deployment=deployment,
        version=deployment.version,
        placement=Placement(replicas=2, keep="on-demand"),
    )
    run_all()
    assert "fusebox/claims:r1" not in {m.name for m in real_nodes[0].api.loaded()}
    assert len(ready(pair)) == 2


def test_a_second_round_finds_nothing_to_do(pair: Deployment) -> None:
    look_again()
    assert pair.operations.count() == 1
