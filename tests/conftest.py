"""Fixtures for all: the cast, their clients, nodes with a model, and a whole running console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from access import actions, policy
from access.models import User
from access.roles import Role
from audit.ledger.actor import Actor, Origin
from console.embedded import ollama as engine
from console.embedded import wheels
from console.embedded.installation import Installation
from deployments import actions as deploy
from deployments import ollama, runner
from deployments.models import Deployment, Model, Node
from tests.console_process import Console
from tests.fleet import RealNode, three

MODEL = "smollm2:135m"
GUARD = "^ledger_.*_no_truncate$"
ROLES = [r.value for r in Role]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: object) -> None:
    """Transactional tests empty tables with TRUNCATE: only that guard is lifted, only here."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(
            "SELECT tgname, tgrelid::regclass FROM pg_trigger WHERE tgname ~ %s", [GUARD]
        )
        for name, table in cursor.fetchall():
            cursor.execute(f"DROP TRIGGER {name} ON {table}")


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    """Argon2 is slow by design; which hasher is used is no matter of these tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def no_static_files(settings: Settings) -> None:
    """Every Client would list them all anew; a running console serves them in the other tests."""
    settings.WHITENOISE_USE_FINDERS = False


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """A page asked in Chinese leaves its thread in Chinese: each test begins in English."""
    with translation.override("en"):
        yield


@pytest.fixture
def people(db: None) -> dict[str, User]:
    """One person a role, and mallory, a member without a team."""
    made = {}
    for name, role in [*((r, r) for r in ROLES), ("mallory", "member")]:
        made[name], _password = actions.create_user(
            actor=Actor.system("tests"), username=name, display_name=name.title(), role=role
        )
        User.objects.filter(pk=made[name].pk).update(must_change_password=False)
    return made


@pytest.fixture
def actor_of(people: dict[str, User]) -> Callable[[str], Actor]:
    """The Actor of one of the cast, as a page makes it."""
    origin = Origin(ip="127.0.0.1", request_id="test-request", method="POST", route="/test/")
    return lambda name: policy.actor_for(people[name], origin=origin)


@pytest.fixture
def client_of(people: dict[str, User]) -> Callable[[str], Client]:
    """A browser in which one of the cast is signed in."""

    def make(name: str) -> Client:
        client = Client()
        client.force_login(people[name], backend="access.backends.PersonBackend")
        return client

    return make


@pytest.fixture(scope="session")
def model_node_url(ollama_url: str) -> str:
    """A real node that stores SmolLM2-135M."""
    path = wheels.model_file()
    assert path is not None, "the model's package is not installed"
    api = ollama.Node(ollama_url)
    if api.digest_of(MODEL) is None:
        digest = api.upload(path, lambda _done, _total: None)
        list(api.create_from_file(MODEL, path.name, digest))
    return ollama_url


@pytest.fixture
def node(actor_of: Callable[[str], Actor], model_node_url: str) -> Node:
    """The real node, registered; it holds nothing that an earlier test had loaded to stay."""
    api = ollama.Node(model_node_url)
    for loaded in api.loaded():
        for name in (loaded.name, MODEL):
            with suppress(ollama.OllamaError):
                api.unload(name)
    return deploy.register_node(actor=actor_of("system"), name="node-1", url=model_node_url)


@pytest.fixture(scope="session")
def real_nodes(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[RealNode]]:
    """Three real nodes with SmolLM2."""
    nodes = three(tmp_path_factory.mktemp("fleet"), engine.from_wheel(installation))
    yield nodes
    for node in nodes:
        node.stop()


@pytest.fixture
def fleet(actor_of: Callable[[str], Actor], real_nodes: list[RealNode]) -> Iterator[list[Node]]:
    """The three, registered, their model approved; our tags are removed afterwards."""
    for real in real_nodes:
        real.clean()
    nodes = [
        deploy.register_node(actor=actor_of("system"), name=real.name, url=real.url)
        for real in real_nodes
    ]
    for found in Model.objects.filter(stored__tag=MODEL).distinct():
        deploy.approve_model(actor=actor_of("security"), model=found, accept_licence=True)
    yield nodes
    for real in real_nodes:
        real.clean()


@pytest.fixture
def model(node: Node, actor_of: Callable[[str], Actor]) -> Model:
    """SmolLM2, approved by the security administrator."""
    found = Model.objects.get(stored__node=node, stored__tag=MODEL)
    deploy.approve_model(actor=actor_of("security"), model=found, accept_licence=True)
    return found


@pytest.fixture
def deployment(actor_of: Callable[[str], Actor], node: Node, model: Model) -> Iterator[Deployment]:
    """A live deployment on the real node; its tag is removed afterwards."""
    made = deploy.create_deployment(
        actor=actor_of("system"), name="helpdesk", model=model, node=node
    )
    run_all()
    made.refresh_from_db()
    assert made.state == "live", made.problem
    yield made
    ollama.Node(node.url).delete("fusebox/helpdesk:r1")


def run_all() -> None:
    """Do what the worker would: every waiting operation, here and now."""
    for operation in made_operations():
        runner.run(str(operation))


def made_operations() -> list[object]:
    from deployments.models import Operation

    return list(Operation.objects.filter(state="queued").values_list("pk", flat=True))


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The whole product, as `make up` runs it, in an empty data folder on a free port."""
    running = Console(Path(tmp_path_factory.mktemp("console")) / "var")
    try:
        running.start()
        yield running
    finally:
        running.stop()
