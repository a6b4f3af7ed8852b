"""Rollouts and pulls interrupted at random, whatever dies: each ends in the wanted state.

FUSEBOX_FAULTS says how many; the suite does a few, `make faults` fifty.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests import registry
from tests.conftest import MODEL
from tests.deployments.test_faults import PATIENCE_S, Fleet, whole  # noqa: F401  a fixture
from tests.fleet import RealNode

FAULTS = int(os.environ.get("FUSEBOX_FAULTS", "2"))
SEED = int(os.environ.get("FUSEBOX_FAULTS_SEED", "20261124"))
LAYER_BYTES = 6_000_000
RATE = 2_000_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[registry.Proxy]:
    with registry.running(Path(tmp_path_factory.mktemp("registry"))) as found:
        yield found


def publish(node: RealNode, source: registry.Proxy, number: int) -> str:
    """A model that no other node has a layer of, pushed to the registry; its name."""
    name = f"{source.name}/library/odd:{number}"
    source.calm()
    made = {"model": name, "from": MODEL, "license": [secrets.token_hex(LAYER_BYTES // 2)]}
    httpx.post(f"{node.url}/api/create", json={**made, "stream": False}, timeout=60)
    assert [step.status for step in node.api.push(name, insecure=True)][-1] == "success"
    node.api.delete(name)
    return name


def faults(fleet: Fleet, dice: random.Random) -> dict[str, Callable[[], None]]:
    node = dice.choice(fleet.nodes[1:])

    def dies() -> None:
        node.kill()
        time.sleep(dice.random() * 4)
        node.start()

    def hangs() -> None:
        node.hold(signal.SIGSTOP)
        time.sleep(dice.random() * 4)
        node.hold(signal.SIGCONT)

    def database() -> None:
        fleet.kill("bin/postgres -D")
        time.sleep(3)
        fleet.until(fleet.console.is_ready, "the console is ready again")

    return {
        "worker": lambda: fleet.kill("celery.* worker"),
        "beat": lambda: fleet.kill("celery.* beat"),
        "broker": lambda: fleet.kill("valkey-server"),
        "a node dies": dies,
        "a node hangs": hangs,
        "database": database,
    }


def arrives(fleet: Fleet, operation: str, node: RealNode, name: str) -> None:
    """The pull ends with the model on the node; one that failed is tried again, as people do."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert time.monotonic() < deadline, fleet.api("GET", f"operations/{operation}/")
        now = fleet.api("GET", f"operations/{operation}/")
        if now["state"] == "succeeded":
            break
        if now["state"] == "failed":
            assert now["problem"]
            operation = fleet.api("POST", f"operations/{operation}/retry/")["id"]
        time.sleep(0.3)
    assert name in {tag.name for tag in node.api.tags()}
    node.api.delete(name)


def test_whatever_dies_the_wanted_state_is_reached(
    whole: Fleet,  # noqa: F811
    source: registry.Proxy,
) -> None:
    dice = random.Random(SEED)
    ids = {row["name"]: row["id"] for row in whole.api("GET", "nodes/")["results"]}
    for number in range(FAULTS):
        name = publish(whole.nodes[0], source, number)
        target = dice.choice(whole.nodes[1:])
        source.rate = RATE
        pull = whole.api("POST", "models/pull/", node=ids[target.name], name=name, insecure=True)
        revision = whole.change(f"Answer briefly: {number}.")
        time.sleep(dice.random() * 3)
        kinds = faults(whole, dice)
        kind = dice.choice(sorted(kinds))
        print(f"interruption {number}: {kind}", flush=True)
        kinds[kind]()
        whole.ends_as(revision)
        arrives(whole, pull["id"], target, name)
