"""Nodes: only what is really Ollama, only where nodes may be; what they say is kept."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.utils import timezone

from access.errors import Denied, Invalid, WrongState
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from deployments import actions, addresses, fleet
from deployments.models import Deployment, Node, StoredModel
from tests.conftest import MODEL

ActorOf = Callable[[str], Actor]


@contextmanager
def something_else(answer: bytes) -> Iterator[str]:
    """A server that is no Ollama: it answers every connection with the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _address = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_node_tells_its_version_and_models(node: Node) -> None:
    assert node.status == "online"
    assert node.version
    assert StoredModel.objects.get(tag=MODEL).model.parameter_size == "134.52M"
    assert StoredModel.objects.get(tag=MODEL).model.context_length == 8192
    registered = Event.objects.get(act="node.register")
    assert node.url.encode() in bytes(registered.leaf)


HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>hi</html>"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
JSON = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}'


@pytest.mark.parametrize("answer", [HTML, MOVED, JSON, b"SSH-2.0-OpenSSH\r\n", b""])
def test_what_is_not_ollama_is_refused_with_the_reason(actor_of: ActorOf, answer: bytes) -> None:
    with (
        something_else(answer) as url,
        pytest.raises(Invalid, match="No Ollama answers") as refused,
    ):
        actions.register_node(actor=actor_of("system"), name="x", url=url)
    assert refused.value.field == "url"
    assert not Node.objects.exists()


def test_where_nothing_listens_is_refused(actor_of: ActorOf) -> None:
    with pytest.raises(Invalid, match="No connection"):
        actions.register_node(actor=actor_of("system"), name="x", url="http://127.0.0.1:9")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200",
        "http://[::ffff:169.254.169.254]",
        "http://8.8.8.8:11434",
        "http://0.0.0.0:11434",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "http://user:secret@127.0.0.1:11434",
        "http://127.0.0.1:99999",
        "http://no-such-host.invalid",
        "http://",
        "",
        "http://127.0.0.1:11434/?q=1",
        "http://2852039166/",
    ],
)
def test_an_address_that_is_not_allowed_is_refused(actor_of: ActorOf, url: str) -> None:
    with pytest.raises(Invalid) as refused:
        actions.register_node(actor=actor_of("system"), name="x", url=url)
    assert refused.value.field == "url"


def test_an_address_is_written_in_one_way() -> None:
    assert addresses.checked_url(" 127.0.0.1 ") == "http://127.0.0.1:11434"
    assert addresses.checked_url("https://127.0.0.1/ollama/") == "https://127.0.0.1:443/ollama"


def test_the_same_node_twice_is_refused(actor_of: ActorOf, node: Node) -> None:
    with pytest.raises(Invalid):
        actions.register_node(actor=actor_of("system"), name="other", url=node.url)
    assert Node.objects.count() == 1


@pytest.mark.parametrize("name", ["security", "audit", "member"])
def test_others_may_not(actor_of: ActorOf, node: Node, name: str) -> None:
    with pytest.raises(Denied):
        actions.register_node(actor=actor_of(name), name="x", url="http://127.0.0.1:1")
    with pytest.raises(Denied):
        actions.remove_node(actor=actor_of(name), node=node)
    with pytest.raises(Denied):
        actions.refresh_node(actor=actor_of(name), node=node)
    assert Node.objects.count() == 1


def test_a_node_with_a_deployment_stays(
    actor_of: ActorOf, deployment: Deployment, node: Node
) -> None:
    with pytest.raises(WrongState, match="helpdesk"):
        actions.remove_node(actor=actor_of("system"), node=node)
    [stored] = StoredModel.objects.filter(tag=MODEL)
    with pytest.raises(WrongState, match="helpdesk"):
        actions.delete_model(actor=actor_of("system"), stored=stored)


def test_a_node_that_goes_away_and_comes_back_is_two_events(node: Node) -> None:
    url = node.url
    Node.objects.update(url="http://127.0.0.1:9")
    node.refresh_from_db()
    fleet.check(node)
    fleet.check(node)
    node.refresh_from_db()
    assert node.status == "unreachable"
    Node.objects.update(url=url)
    node.refresh_from_db()
    fleet.check(node)
    outcomes = Event.objects.filter(act="node.status").order_by("id")
    assert [e.outcome for e in outcomes] == ["failure", "success"]


def test_an_answer_that_was_overtaken_takes_nothing_out_of_the_catalogue(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that listed the models before one was made, and ends after the round that found it,
    as when a busy node takes its time."""
    api, name = fleet.api(node), "made-meanwhile:latest"
    early = fleet.ask(node.url)
    assert name not in [t.name for t in early.tags]
    api.alias(MODEL, name)
    try:
        fleet.check(node)
        assert node.stored.filter(tag=name).exists()
        node.refresh_from_db()
        fleet.store(node, early)
        assert node.stored.filter(tag=name).exists()
        assert node.status == "online"
        monkeypatch.setattr(timezone, "now", lambda: early.asked_at)  # a clock that was set back
        fleet.store(node, early)
        assert not node.stored.filter(tag=name).exists()
    finally:
        api.delete(name)


def test_removing_touches_nothing_on_the_node(actor_of: ActorOf, node: Node) -> None:
    url = node.url
    actions.remove_node(actor=actor_of("system"), node=node)
    assert not Node.objects.exists()
    assert fleet.ask(url).status == "online"
    assert MODEL in [t.name for t in fleet.ask(url).tags]
