"""Trying a scenario's samples on real models: figures, judgement, proposal, and what is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.errors import Denied, Invalid, WrongState
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from deployments import actions, own_samples, runner, scenarios, trials
from deployments.judging import Answer, judge
from deployments.models import (
    Model,
    Node,
    NodeStatus,
    Operation,
    StoredModel,
)
from deployments.scenarios import SHIPPED, Sample
from tests.conftest import MODEL
from tests.fleet import RealNode

ActorOf = Callable[[str], Actor]
SORTING = scenarios.read(SHIPPED / "ticket-sorting.toml")


@pytest.fixture
def stored(node: Node) -> Model:
    return StoredModel.objects.get(node=node, tag=MODEL).model


@pytest.fixture
def approved(stored: Model, actor_of: ActorOf) -> Model:
    actions.approve_model(actor=actor_of("security"), model=stored, accept_licence=True)
    return stored


def ask(
    actor: Actor,
    models: list[Model],
    scenario: str = "ticket-sorting",
    own: Sequence[own_samples.Given] = (),
) -> Operation:
    return actions.try_scenario(
        actor=actor, scenario=scenario, language="en", models=models, own=own
    )


def ended(operation: Operation) -> Operation:
    runner.run(str(operation.pk))
    operation.refresh_from_db()
    return operation


def test_samples_are_asked_of_a_real_model(
    actor_of: ActorOf, approved: Model, client_of: Callable[[str], Client]
) -> None:
    operation = ended(ask(actor_of("system"), [approved]))
    assert operation.state == "succeeded", operation.result
    (found,) = trials.tried(operation.result)
    assert (found.model, found.ended, found.problem, len(found.samples)) == (MODEL, True, "", 3)
    for sample in found.samples:
        assert sample["text"]
        assert sample["total_ms"] >= sample["first_ms"] > 0
        assert sample["rate"] > 0
        assert "schema" not in {p["what"] for p in sample["problems"]}
    assert found.memory > 100_000_000
    assert b"ticket-sorting" in bytes(Event.objects.get(act="scenario.try").leaf)
    page = client_of("system").get("/scenarios/ticket-sorting/?language=en").content.decode()
    assert f"{found.passed} / 3" in page
    assert ("is proposed" in page) == found.passes
    told = client_of("system").get(f"/api/v1/operations/{operation.pk}/").json()
    assert told["result"] == operation.result


def test_two_people_share_what_is_under_way(actor_of: ActorOf, approved: Model) -> None:
    first = ask(actor_of("system"), [approved])
    assert ask(actor_of("system"), [approved]) == first
    actions.cancel_operation(actor=actor_of("system"), operation=first)
    assert ended(first).state == "cancelled"
    assert ask(actor_of("system"), [approved]) != first


def test_a_worker_that_takes_over_goes_on(actor_of: ActorOf, approved: Model) -> None:
    """What the killed one had ended with is not asked again."""
    operation = ask(actor_of("system"), [approved])
    done: dict[str, Any] = {"model": MODEL, "samples": [], "problem": "kept", "ended": True}
    Operation.objects.filter(pk=operation.pk).update(
        state="running", lease_until=timezone.now(), result={str(approved.pk): done}
    )
    assert ended(operation).result == {str(approved.pk): done}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": NodeStatus.UNREACHABLE}, "No open node that answers"),
        ({"duty": "cordoned"}, "No open node that answers"),
        ({"memory_declared": 1_000_000, "machine": {}, "loaded": []}, "does not fit"),
        ({"url": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    ],
)
def test_a_model_that_cannot_be_tried_says_why(
    actor_of: ActorOf, approved: Model, node: Node, change: dict[str, Any], told: str
) -> None:
    Node.objects.filter(pk=node.pk).update(**change)
    operation = ended(ask(actor_of("system"), [approved]))
    assert operation.state == "failed"
    (found,) = trials.tried(operation.result)
    assert told in str(found.problem)


def test_what_is_refused(actor_of: ActorOf, stored: Model) -> None:
    with pytest.raises(WrongState, match="not approved"):
        ask(actor_of("system"), [stored])
    with pytest.raises(Invalid, match="no such scenario"):
        ask(actor_of("system"), [stored], "../etc")
    with pytest.raises(Invalid, match="Choose from one"):
        ask(actor_of("system"), [])
    with pytest.raises(Denied):
        ask(actor_of("security"), [stored])
    assert not Operation.objects.filter(kind="try").exists()


def test_the_form_takes_nonsense(client_of: Callable[[str], Client], approved: Model) -> None:
    client = client_of("system")
    for given in ({}, {"language": "en", "models": ["x", "1"]}, {"models": [str(approved.pk)]}):
        answer = client.post("/scenarios/ticket-sorting/try/", given)
        assert answer.status_code in (302, 422)
    assert not Operation.objects.filter(kind="try").exists()
    good = {"language": "en", "models": [str(approved.pk)]}
    assert client.post("/scenarios/ticket-sorting/try/", good).status_code == 302
    answer = client.post(
        "/api/v1/scenarios/ticket-sorting/try/", good, content_type="application/json"
    )
    assert answer.status_code == 202, answer.content


def test_the_api_takes_texts_of_ones_own(
    client_of: Callable[[str], Client], approved: Model
) -> None:
    asked = {"models": [str(approved.pk)], "own": [{"text": "x", "expected": "colour = red"}]}
    url = "/api/v1/scenarios/ticket-sorting/try/"
    answer = client_of("system").post(url, asked, content_type="application/json")
    assert answer.status_code == 422
    assert "colour" in answer.json()["error"]["message"]
    asked["own"] = [{"text": "x", "expected": "urgent = true"}]
    answer = client_of("system").post(url, asked, content_type="application/json")
    assert answer.status_code == 202
    assert Operation.objects.get(pk=answer.json()["id"]).own_samples.get().fields == {
        "urgent": True
    }


GOOD = '{"category": "delivery", "urgent": false}'


@pytest.mark.parametrize(
    ("text", "cut", "problems"),
    [
        (GOOD, False, []),
        ("", False, ["empty"]),
        ("It is a delivery.", False, ["schema"]),
        ('{"category": "delivery"}', False, ["schema"]),
        ('{"category": "delivery", "urgent": "no"}', False, ["schema"]),
        ('{"category": "billing", "urgent": false}', False, ["field"]),
        ('{"category": "del', True, ["cut", "schema"]),
        ("[" * 5000, False, ["schema"]),
    ],
)
def test_answers_are_judged(text: str, cut: bool, problems: list[str]) -> None:
    found = judge(SORTING.schema, SORTING.samples[0], Answer(text, cut=cut))
    assert [p["what"] for p in found] == problems


def test_words_are_looked_for() -> None:
    sample = Sample("Room 210", "210 室", words=("210",))
    assert judge(None, sample, Answer("在 210 室")) == []
    assert judge(None, sample, Answer("室")) == [{"what": "word", "detail": "210"}]
    assert judge(None, sample, Answer("210", left_out=True))[0]["what"] == "left_out"


def entry(size: int, *problems: list[str], ended: bool = True) -> dict[str, Any]:
    samples = [
        {"problems": each, "first_ms": 1, "total_ms": 10, "rate": 2.0, "text": "", "tokens": 1}
        for each in problems
    ]
    figures = {"model": f"m{size}", "size": size, "problem": "", "ended": ended}
    return {**figures, "samples": samples}


def test_the_smallest_that_passes_all_is_proposed() -> None:
    result = {"c": entry(3, [], []), "a": entry(1, [], ["x"]), "b": entry(2, [], [])}
    found = trials.tried(result)
    assert [each.model for each in found] == ["m1", "m2", "m3"]
    assert trials.proposal(found) == found[1]
    assert trials.proposal(trials.tried({"a": entry(1, ["x"])})) is None
    assert trials.proposal(trials.tried({"a": entry(1)})) is None
    assert trials.proposal(trials.tried({"a": entry(1, [], ended=False)})) is None


def kill_in_the_middle(real: RealNode) -> threading.Thread:
    """A thread that takes a node's power away while it answers."""

    def watch() -> None:
        deadline = time.monotonic() + 60
        while not real.api.loaded() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        real.kill()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_node_that_dies_in_the_middle_is_followed_by_the_next(
    actor_of: ActorOf,
    fleet: list[Node],
    real_nodes: list[RealNode],
    client_of: Callable[[str], Client],
) -> None:
    """What was begun on it is begun again: figures of two machines are no figures of one."""
    model = StoredModel.objects.filter(node=fleet[0], tag=MODEL).get().model
    operation = ask(actor_of("system"), [model], own=[own_samples.Given(text="My screen is dark.")])
    killer = kill_in_the_middle(real_nodes[0])
    ended(operation)
    killer.join()
    assert not real_nodes[0].is_running
    assert operation.state == "succeeded", operation.result
    (found,) = trials.tried(operation.result)
    assert (found.node, len(found.samples), found.problem) == (fleet[1].name, 4, "")
    page = client_of("system").get(f"/operations/{operation.pk}/").content.decode()
    assert f"{fleet[0].name}:" in page
    assert "The next node is asked." in page


def test_where_every_node_dies_the_trial_says_so(
    actor_of: ActorOf, fleet: list[Node], real_nodes: list[RealNode]
) -> None:
    model = StoredModel.objects.filter(node=fleet[0], tag=MODEL).get().model
    operation = ask(actor_of("system"), [model])
    killers = [kill_in_the_middle(real) for real in real_nodes]
    ended(operation)
    for killer in killers:
        killer.join()
    assert operation.state == "failed"
    (found,) = trials.tried(operation.result)
    assert found.ended
    assert real_nodes[-1].url.removeprefix("http://") in str(found.problem)
