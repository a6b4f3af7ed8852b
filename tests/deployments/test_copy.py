"""Copying a model between two real nodes, and deleting what is or is not in use."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from access.errors import Denied, Invalid, WrongState
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from console.embedded.installation import Installation
from deployments import actions, approvals, fleet, lease, ollama, runner
from deployments.lent import lent
from deployments.models import Deployment, Model, Node, Operation, StoredModel
from tests.conftest import MODEL
from tests.nodes import second_node

ActorOf = Callable[[str], Actor]


@pytest.fixture
def other(
    installation: Installation, tmp_path: Path, actor_of: ActorOf, settings: Settings
) -> Iterator[Node]:
    settings.UPLOADS = tmp_path / "uploads"
    with second_node(installation, tmp_path / "models") as url:
        yield actions.register_node(actor=actor_of("system"), name="other", url=url)


@pytest.fixture
def stored(node: Node, model: Model) -> StoredModel:
    return StoredModel.objects.select_related("node", "model").get(node=node, tag=MODEL)


def done(operation: Operation) -> Operation:
    runner.run(str(operation.pk))
    operation.refresh_from_db()
    return operation


def test_a_model_is_copied_and_answers_there(
    actor_of: ActorOf, stored: StoredModel, other: Node, tmp_path: Path
) -> None:
    operation = done(actions.copy_model(actor=actor_of("system"), stored=stored, node=other))
    assert (operation.state, operation.problem) == ("succeeded", "")
    assert operation.done == operation.total > 90_000_000
    there, here = ollama.Node(other.url), ollama.Node(stored.node.url)
    assert "Paris" in there.probe(MODEL, "What is the capital of France?").text
    assert [t.name for t in there.tags()] == [MODEL]
    assert [t.name for t in here.tags() if "transfer" in t.name] == []
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_copy_of_an_approved_model_is_approved(
    actor_of: ActorOf, stored: StoredModel, other: Node
) -> None:
    done(actions.copy_model(actor=actor_of("system"), stored=stored, node=other))
    assert approvals.is_approved(Model.objects.get(stored__node=other))


def test_a_cancelled_copy_leaves_no_name_behind(
    actor_of: ActorOf,
    stored: StoredModel,
    other: Node,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operation = actions.copy_model(actor=actor_of("system"), stored=stored, node=other)
    step = lease.Lease.step

    def cancelled(self: lease.Lease, name: str, text: str = "") -> None:
        step(self, name, text)
        if name == "give":
            self._cancelled.set()

    monkeypatch.setattr(lease.Lease, "step", cancelled)
    done(operation)
    assert operation.state == "cancelled"
    for where in (other, stored.node):
        assert [t for t in ollama.Node(where.url).tags() if "transfer" in t.name] == []
    assert list((tmp_path / "uploads").iterdir()) == []


def test_to_its_own_node_it_is_refused(actor_of: ActorOf, stored: StoredModel) -> None:
    with pytest.raises(Invalid, match="already"):
        actions.copy_model(actor=actor_of("system"), stored=stored, node=stored.node)


def test_two_who_ask_for_the_same_share_one_copy(actor_of: ActorOf, stored: StoredModel) -> None:
    node = Node.objects.create(name="away", url="http://127.0.0.1:9")
    first, second = (
        actions.copy_model(actor=actor_of("system"), stored=stored, node=node) for _ in range(2)
    )
    assert first == second
    assert Event.objects.filter(act="model.copy").count() == 2
    with pytest.raises(WrongState, match="being copied"):
        actions.delete_model(actor=actor_of("system"), stored=stored)


@pytest.mark.parametrize("name", ["security", "audit", "member"])
def test_others_may_not_copy(actor_of: ActorOf, stored: StoredModel, name: str) -> None:
    with pytest.raises(Denied):
        actions.copy_model(actor=actor_of(name), stored=stored, node=stored.node)


def test_what_is_deployed_is_not_deleted(
    actor_of: ActorOf, deployment: Deployment, stored: StoredModel
) -> None:
    with pytest.raises(WrongState, match="helpdesk"):
        actions.delete_model(actor=actor_of("system"), stored=stored)
    assert ollama.Node(stored.node.url).digest_of(MODEL) is not None


def test_what_nobody_uses_is_deleted(actor_of: ActorOf, stored: StoredModel) -> None:
    ollama.Node(stored.node.url).alias(MODEL, "spare:1")
    fleet.check(stored.node)
    spare = StoredModel.objects.get(tag="spare:1")
    actions.delete_model(actor=actor_of("system"), stored=spare)
    assert ollama.Node(stored.node.url).digest_of("spare:1") is None
    assert not StoredModel.objects.filter(tag="spare:1").exists()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/"),
        ("GET", "/v2/0000/model/manifests/transfer"),
        ("GET", "/v2/{token}/model/blobs/../manifest"),
        ("GET", "/v2/{token}/model/blobs/sha256:zz"),
        ("POST", "/v2/wrong/model/blobs/uploads/"),
        ("PATCH", "/v2/{token}/model/blobs/uploads/../../../x"),
        ("PUT", "/v2/{token}/model/blobs/uploads/0123456789abcdef?digest=sha256:../x"),
        ("PUT", "/v2/{token}/model/manifests/transfer"),
    ],
)
def test_the_lent_registry_gives_and_takes_nothing_else(
    tmp_path: Path, method: str, path: str
) -> None:
    (tmp_path / "manifest").write_text("{}")
    with lent(tmp_path, "http://127.0.0.1:9") as server:
        asking = http.client.HTTPConnection(server.host, timeout=5)
        asking.request(method, path.format(token=server.token), body=b"x")
        assert asking.getresponse().status in (404, 413)
        asking.close()
    assert [p.name for p in tmp_path.iterdir()] == ["manifest"]


@pytest.mark.parametrize("host", ["", "localhost", "::1"])
def test_the_lent_registry_is_reached_where_it_was_said_to_be(
    tmp_path: Path, settings: Settings, host: str
) -> None:
    settings.TRANSFER_HOST = host
    (tmp_path / "manifest").write_text("{}")
    with lent(tmp_path, "http://127.0.0.1:9") as server:
        asking = http.client.HTTPConnection(server.host, timeout=5)
        asking.request("GET", f"/v2/{server.token}/model/manifests/transfer")
        assert asking.getresponse().status == 200
        asking.close()
