"""Pulling from a real registry: progress, cancel, resume, sharing, and what can go wrong."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from access.errors import Denied, Invalid
from access.said import from_json
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from console.embedded.installation import Installation
from deployments import actions, lease, ollama, runner
from deployments.models import Node, Operation
from tests import model_files, registry
from tests.certificates import Authority
from tests.conftest import MODEL
from tests.nodes import second_node

ActorOf = Callable[[str], Actor]
NAME = "library/smollm2:135m"


@pytest.fixture(scope="module")
def proxy(
    model_node_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[registry.Proxy]:
    """A registry that holds SmolLM2, pushed there by the node that has it."""
    with registry.running(Path(tmp_path_factory.mktemp("registry"))) as found:
        api = ollama.Node(model_node_url)
        api.alias(MODEL, f"{found.name}/{NAME}")
        assert [s.status for s in api.push(f"{found.name}/{NAME}", insecure=True)][-1] == "success"
        api.delete(f"{found.name}/{NAME}")
        yield found


@pytest.fixture
def source(proxy: registry.Proxy) -> Iterator[registry.Proxy]:
    proxy.calm()
    yield proxy
    proxy.calm()


@pytest.fixture
def empty(installation: Installation, tmp_path: Path, actor_of: ActorOf) -> Iterator[Node]:
    """A second real node, with an empty store."""
    with second_node(installation, tmp_path / "models") as url:
        yield actions.register_node(actor=actor_of("system"), name="empty", url=url)


def pull(actor_of: ActorOf, node: Node, source: registry.Proxy, name: str = NAME) -> Operation:
    return actions.pull_model(
        actor=actor_of("system"), node=node, name=f"{source.name}/{name}", insecure=True
    )


def done(operation: Operation) -> Operation:
    runner.run(str(operation.pk))
    operation.refresh_from_db()
    return operation


def test_a_pull_brings_the_model_with_its_bytes_counted(
    actor_of: ActorOf, empty: Node, source: registry.Proxy
) -> None:
    operation = done(pull(actor_of, empty, source))
    assert (operation.state, operation.problem) == ("succeeded", "")
    assert operation.done == operation.total > 90_000_000
    assert str(from_json(operation.log[-2]["text"])) == "success"
    assert empty.stored.get().tag == f"{source.name}/{NAME}"


def test_two_who_ask_for_the_same_share_one_pull(
    actor_of: ActorOf, empty: Node, source: registry.Proxy
) -> None:
    assert pull(actor_of, empty, source) == pull(actor_of, empty, source)
    assert Operation.objects.count() == 1
    assert Event.objects.filter(act="model.pull").count() == 2


def cancelled_midway(
    monkeypatch: pytest.MonkeyPatch, operation: Operation, at_percent: int
) -> None:
    """Cancel when the transfer has come so far, as the heartbeat would."""
    write = lease.Lease.write

    def watched(self: lease.Lease, **fields: object) -> None:
        write(self, **fields)
        if (self.operation.percent or 0) >= at_percent:
            Operation.objects.filter(pk=self.pk).update(cancel_requested_at="2026-01-01T00:00Z")
            self._cancelled.set()

    monkeypatch.setattr(lease.Lease, "write", watched)


def test_a_cancelled_pull_has_really_stopped_and_is_resumed_where_it_was(
    actor_of: ActorOf, empty: Node, source: registry.Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.rate = 12_000_000
    operation = pull(actor_of, empty, source)
    with monkeypatch.context() as patch:
        cancelled_midway(patch, operation, 30)
        done(operation)
    assert operation.state == "cancelled"
    assert "stopped at" in str(from_json(operation.log[-1]["text"]))
    sent = source.sent
    time.sleep(2)
    assert source.sent - sent < 2_000_000
    assert not empty.stored.exists()

    source.calm()
    again = done(actions.retry_operation(actor=actor_of("system"), operation=operation))
    assert again.state == "succeeded"
    assert source.sent < 0.9 * again.total
    assert empty.stored.count() == 1


def test_a_pull_that_is_cut_fails_says_why_and_is_resumed(
    actor_of: ActorOf, empty: Node, source: registry.Proxy, settings: Settings
) -> None:
    settings.TRANSFER_STALL_S = 3
    source.cut_after = 60_000_000
    operation = done(pull(actor_of, empty, source))
    assert operation.state == "failed"
    assert "No byte came" in str(operation.problem)
    source.calm()
    settings.TRANSFER_STALL_S = 60
    again = done(actions.retry_operation(actor=actor_of("system"), operation=operation))
    assert (again.state, again.problem) == ("succeeded", "")
    assert source.sent < 0.8 * again.total


def test_a_tag_that_does_not_exist(actor_of: ActorOf, empty: Node, source: registry.Proxy) -> None:
    operation = done(pull(actor_of, empty, source, "library/smollm2:none"))
    assert operation.state == "failed"
    assert "not exist" in str(operation.problem)


def test_a_host_that_does_not_answer(
    actor_of: ActorOf, empty: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ollama, "STREAM_SILENCE_S", 2.0)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        operation = actions.pull_model(
            actor=actor_of("system"),
            node=empty,
            name=f"127.0.0.1:{mute.getsockname()[1]}/library/x:1",
            insecure=True,
        )
        done(operation)
    assert operation.state == "failed"
    assert "2 seconds" in str(operation.problem)


@pytest.mark.parametrize("name", ["", "a b", "../../etc/passwd", "fusebox/x:r1", "x" * 201, "a\nb"])
def test_an_impossible_name_is_refused(actor_of: ActorOf, node: Node, name: str) -> None:
    with pytest.raises(Invalid):
        actions.pull_model(actor=actor_of("system"), node=node, name=name)


@pytest.mark.parametrize("name", ["security", "audit", "member"])
def test_others_may_not_pull(actor_of: ActorOf, node: Node, name: str) -> None:
    with pytest.raises(Denied):
        actions.pull_model(actor=actor_of(name), node=node, name="x")


def test_a_full_disk_fails_with_the_nodes_reason(
    actor_of: ActorOf, installation: Installation, source: registry.Proxy, tmp_path: Path
) -> None:
    with second_node(installation, tmp_path / "models", disk="30m") as url:
        small = actions.register_node(actor=actor_of("system"), name="small", url=url)
        operation = done(pull(actor_of, small, source))
    assert operation.state == "failed"
    assert "no space left" in str(operation.problem)


def test_a_registry_with_tls_of_an_authority_that_the_node_knows(
    installation: Installation, tmp_path: Path, actor_of: ActorOf
) -> None:
    """Without TLS switched off: who does not know the authority is told so and pulls nothing."""
    Authority(tmp_path).issue("server", host="localhost")
    with (
        registry.running(tmp_path, tmp_path) as proxy,
        second_node(installation, tmp_path / "a", authority=tmp_path / "ca.pem") as trusting,
        second_node(installation, tmp_path / "b") as doubting,
    ):
        api, name = ollama.Node(trusting), f"{proxy.name}/{NAME}"
        digest = api.upload(model_files.smollm2(), lambda _done, _total: None)
        list(api.create_from_file(name, "model.gguf", digest))
        assert [s.status for s in api.push(name)][-1] == "success"
        api.delete(name)
        for url, node_name, state in ((trusting, "a", "succeeded"), (doubting, "b", "failed")):
            actor = actor_of("system")
            node = actions.register_node(actor=actor, name=node_name, url=url)
            operation = done(actions.pull_model(actor=actor, node=node, name=name))
            assert operation.state == state, operation.problem
            assert node.stored.filter(tag=name).exists() == (state == "succeeded")
        assert "certificate" in str(operation.problem)
