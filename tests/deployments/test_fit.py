"""Will it fit: the arithmetic against real runners, and what is refused for want of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from access.errors import Invalid
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from deployments import actions, fit, plan, room
from deployments.models import Deployment, Model, Node, StoredModel
from deployments.placement import Placement
from tests import runners
from tests.conftest import MODEL
from tests.fleet import RealNode
from tests.model_files import smollm2_f16

ActorOf = Callable[[str], Actor]
LLAMA = {
    "general.architecture": "llama",
    "general.parameter_count": 8_030_000_000,
    "llama.block_count": 32,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.embedding_length": 4096,
    "llama.feed_forward_length": 14336,
}


@pytest.fixture(scope="module")
def tags(real_nodes: list[RealNode], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SmolLM2 in a second quantization on the first node."""
    node = real_nodes[0]
    path = smollm2_f16(Path(tmp_path_factory.mktemp("f16")))
    digest = node.api.upload(path, lambda _done, _total: None)
    list(node.api.create_from_file("smollm2:f16", path.name, digest))
    yield "smollm2:f16"
    node.api.delete("smollm2:f16")


@pytest.mark.parametrize("context", [512, 1024, 2048, 4096, 8192])
@pytest.mark.parametrize("tag", [MODEL, "smollm2:f16"])
def test_the_estimate_is_within_15_percent_of_a_real_runner(
    real_nodes: list[RealNode], tags: str, tag: str, context: int
) -> None:
    node = real_nodes[0]
    told, size = runners.facts(node.api, tag)
    measured = runners.measure(node, tag, context)
    assert told.shape is not None
    need = fit.need(told.shape, size, context, parallel=measured.parallel, prompt=8)
    assert need.total == pytest.approx(measured.resident, rel=0.15)


def test_the_cache_of_a_known_model_is_what_its_card_says() -> None:
    """Llama 3.1 8B: 128 KiB of f16 cache a token (32 layers, 8 heads of 128, key and value)."""
    shape = fit.shape_of(LLAMA)
    assert shape is not None
    assert fit.token_bytes(shape) == 128 * 1024
    assert fit.token_bytes(shape, "q8_0") == 68 * 1024
    assert fit.need(shape, 4_900_000_000, 8192, parallel=4).cache == 4 * 8192 * 128 * 1024


def test_layers_may_have_heads_of_their_own() -> None:
    shape = fit.shape_of({**LLAMA, "llama.attention.head_count_kv": [8, 0] * 16})
    assert shape is not None
    assert shape.kv_heads == 128


@pytest.mark.parametrize(
    "facts",
    [{}, {"general.architecture": 3}, {**LLAMA, "llama.block_count": -1},
     {**LLAMA, "llama.embedding_length": 2**60}, {**LLAMA, "llama.attention.head_count": "32"}],
)  # fmt: skip
def test_a_model_that_lies_or_tells_nothing_has_no_shape(facts: dict[str, object]) -> None:
    assert fit.shape_of(facts) is None


def test_what_would_fit_is_named() -> None:
    shape = fit.shape_of(LLAMA)
    assert shape is not None
    weights = 16_000_000_000
    assert fit.largest_context(shape, weights, 20_000_000_000, 32768) == 16384
    assert fit.largest_context(shape, weights, 9_000_000_000, 32768) is None
    assert fit.smaller_quantization(shape, weights, 10_000_000_000, 2048) == "Q8_0"
    assert fit.smaller_quantization(shape, weights, 7_000_000_000, 2048) == "Q5_K_M"
    assert fit.smaller_quantization(shape, weights, 1_000_000_000, 2048) is None


def stored(node: Node) -> Model:
    return StoredModel.objects.get(node=node, tag=MODEL).model


def verdict(node: Node, context: int = 4096) -> room.Verdict:
    return room.rooms(stored(node), context, [node])[0].verdict


def test_a_node_is_asked_for_its_memory_in_this_order(node: Node) -> None:
    node.loaded, node.machine, node.memory_declared = [], {}, None
    assert verdict(node) is room.Verdict.UNKNOWN
    node.memory_declared = 400_000_000
    assert verdict(node) is room.Verdict.NOT
    assert verdict(node, 512) is room.Verdict.FITS
    node.machine = {"memory_free": 10_000_000_000}
    assert verdict(node) is room.Verdict.FITS
    node.machine |= {"gpu_total": 500_000_000, "gpu_used": 200_000_000}
    assert verdict(node) is room.Verdict.NOT


def test_the_same_weights_are_in_memory_once(node: Node) -> None:
    node.memory_declared, node.machine = 700_000_000, {}
    node.loaded = [{"name": "other:1b", "size": 400_000_000}]
    assert verdict(node) is room.Verdict.NOT
    node.loaded = [{"name": MODEL, "size": 400_000_000}]
    assert verdict(node) is not room.Verdict.NOT


def deploy(actor: Actor, node: Node, fit_reason: str = "") -> Deployment:
    return actions.create_deployment(
        actor=actor,
        name="large",
        model=stored(node),
        parameters={"num_ctx": 8192},
        fit_reason=fit_reason,
    )


def test_what_fits_nowhere_is_refused_unless_somebody_says_why(
    actor_of: ActorOf, node: Node
) -> None:
    actions.approve_model(actor=actor_of("security"), model=stored(node), accept_licence=True)
    Node.objects.update(memory_declared=350_000_000, machine={}, loaded=[])
    with pytest.raises(Invalid, match=r"0\.35 GB free") as no:
        deploy(actor_of("system"), node)
    assert no.value.field == "fit_reason"
    assert "With a context of" in str(no.value.message)
    assert not Deployment.objects.filter(name="large").exists()
    made = deploy(actor_of("system"), node, fit_reason="the other model leaves tonight")
    event = Event.objects.get(act="deployment.create")
    assert b"the other model leaves tonight" in bytes(event.leaf)
    with pytest.raises(Invalid, match="GB free"):
        actions.change(
            actor=actor_of("system"),
            deployment=made,
            version=made.version,
            model=stored(node),
            parameters={"num_ctx": 4096},
        )


def test_going_where_there_is_no_room_asks_for_a_reason_too(
    actor_of: ActorOf, model: Model, node: Node
) -> None:
    Node.objects.update(memory_declared=None, machine={})
    made = deploy(actor_of("system"), node)
    Node.objects.update(memory_declared=350_000_000, machine={}, loaded=[])
    node.refresh_from_db()
    there = Placement(replicas=1, nodes=[node])
    asked: dict[str, Any] = {"deployment": made, "version": made.version, "placement": there}
    with pytest.raises(Invalid, match=r"0\.35 GB free") as no:
        actions.place(actor=actor_of("system"), **asked)
    assert no.value.field == "fit_reason"
    actions.place(actor=actor_of("system"), **asked, fit_reason="only for tonight")
    assert b"only for tonight" in bytes(Event.objects.get(act="deployment.place").leaf)


@pytest.mark.parametrize(
    ("server", "cache", "parallel"),
    [({}, 1.0, 2), ({"parallel": 4}, 2.0, 4), ({"parallel": 2, "cache_type": "q8_0"}, 17 / 32, 2)],
)
def test_how_the_server_is_set_is_reckoned_with(
    node: Node, server: dict[str, Any], cache: float, parallel: int
) -> None:
    """By itself, this version reserves for two requests at once."""
    node.server = server
    (found,) = room.rooms(stored(node), 4096, [node])
    assert found.need is not None
    assert found.need.parallel == parallel
    assert found.need.cache == pytest.approx(2 * 4096 * 23040 * cache, rel=0.01)


@pytest.mark.parametrize(
    ("server", "field"),
    [({"parallel": 0}, "parallel"), ({"at_once": "many"}, "at_once"),
     ({"cache_type": "q2"}, "cache_type"), ("x", "server")],
)  # fmt: skip
def test_a_server_that_cannot_be_set_so_is_refused(
    actor_of: ActorOf, node: Node, server: object, field: str
) -> None:
    with pytest.raises(Invalid) as no:
        actions.update_node(actor=actor_of("system"), node=node, server=server)
    assert no.value.field == field
    done = actions.update_node(actor=actor_of("system"), node=node, server={"at_once": "2"})
    assert done.server == {"at_once": 2}
    assert b"at_once=2" in bytes(Event.objects.get(act="node.update").leaf)


def test_nobody_is_refused_where_nobody_knows(actor_of: ActorOf, node: Node) -> None:
    actions.approve_model(actor=actor_of("security"), model=stored(node), accept_licence=True)
    Node.objects.update(memory_declared=None, machine={})
    assert deploy(actor_of("system"), node).pk


def test_where_it_fits_is_chosen_first() -> None:
    places = [
        plan.Place(id="a", name="a", stores=frozenset({"x"}), fits=False),
        plan.Place(id="b", name="b", stores=frozenset({"x"}), load=5),
    ]
    wish = plan.Wish("on", 1, digest="x", replicas=1)
    assert plan.choose(wish, places, []) == ["b"]
    assert plan.choose(wish, places[:1], []) == ["a"]


def test_the_sum_is_shown_and_bad_questions_are_answered(
    client_of: Callable[[str], Client], node: Node
) -> None:
    Node.objects.update(memory_declared=350_000_000, machine={}, loaded=[])
    client, model = client_of("system"), stored(node)
    page = client.get("/models/fit/", {"model": str(model.pk), "num_ctx": "8192"}).content.decode()
    assert "Does not fit" in page
    assert "8192 tokens × 2 at once × 23040 bytes" in page
    assert "from 256" not in page
    assert client.get("/models/fit/", {"model": str(model.pk), "num_ctx": "1"}).status_code == 200
    assert client.get("/models/fit/", {"model": "x"}).status_code == 200
    told = client.get(f"/api/v1/models/{model.pk}/fit/", {"num_ctx": "512"}).json()
    assert told[0]["verdict"] == "fits"
    assert told[0]["need"]["total"] == sum(
        told[0]["need"][part] for part in ("weights", "cache", "program", "work")
    )
    assert client.get(f"/api/v1/models/{model.pk}/fit/", {"num_ctx": "x"}).status_code == 422
