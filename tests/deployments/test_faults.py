"""Rollouts of the whole product over three real nodes under load, interrupted by force.

Whatever is killed in the middle: the end is what was wanted, and no request is lost.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console_process import Console
from tests.deployments.test_lifecycle import gemma_file
from tests.fleet import MODEL, RealNode

PATIENCE_S = 900
GEMMA = "gemma3:270m"


class Fleet:
    """Three nodes in the console, one deployment on all of them, and somebody who asks it."""

    def __init__(self, console: Console, nodes: list[RealNode]) -> None:
        self.console, self.nodes = console, nodes
        self.person = console.sign_in("system")
        self.deployment = ""

    def api(self, method: str, path: str, **body: Any) -> Any:
        token = self.person.http.cookies.get("fusebox_csrf", "")
        headers = {"X-CSRFToken": str(token), "Referer": self.console.url}
        answer = self.person.http.request(method, f"/api/v1/{path}", json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def set_up(self) -> None:
        for node in self.nodes:
            node.clean()
            # Threads of three nodes that wait for each other actively starve on a busy machine.
            node.api.create_from(MODEL, MODEL, system="", parameters={"num_thread": 1})
            self.api("POST", "nodes/", name=node.name, url=node.url, labels=["fault"])
        approve = f"/models/{self.model()}/approve/"
        self.console.sign_in("security").post(approve, accept_licence="on")
        made = self.api(
            "POST",
            "deployments/",
            name="faults",
            model=self.model(),
            parameters={"num_ctx": 512, "temperature": 0},
            placement={"replicas": None, "labels": ["fault"], "strategy": "one-by-one"},
        )
        self.deployment = made["id"]
        self.until(lambda: self.serving() == dict.fromkeys("abc", 1), "it went live")
        user = self.console.query("SELECT id FROM access_user WHERE username = 'first-application'")
        path = f"/deployments/{self.deployment}/grant/"
        self.console.sign_in("security").post(path, user=str(user[0][0]))

    def model(self) -> str:
        rows = self.console.query(
            "SELECT s.model_id FROM deployments_storedmodel s "
            "JOIN deployments_node n ON n.id = s.node_id "
            "WHERE n.name = 'node-a' AND s.tag = 'smollm2:135m'"
        )
        return str(rows[0][0])

    def tear_down(self) -> None:
        for node in self.nodes:
            if not node.is_running:
                node.start()
        self.api("DELETE", f"deployments/{self.deployment}/")
        gone = "SELECT state FROM deployments_deployment WHERE id = %s"
        self.until(
            lambda: self.console.query(gone, self.deployment) == [("deleted",)], "it is gone"
        )
        assert [node.ours() for node in self.nodes] == [set(), set(), set()]
        for row in self.api("GET", "nodes/")["results"]:
            if "fault" in row["labels"]:
                self.api("DELETE", f"nodes/{row['id']}/")

    def now(self) -> Any:
        return self.api("GET", f"deployments/{self.deployment}/")

    def change(self, prompt: str, model: str = "") -> int:
        seen = self.now()
        changed = self.api(
            "POST",
            f"deployments/{self.deployment}/change/",
            model=model or self.model(),
            system_prompt=prompt,
            parameters={"num_ctx": 512, "temperature": 0},
            version=seen["version"],
        )
        return int(changed["target"]["number"])

    def serving(self) -> dict[str, int]:
        """Last letter of the node -> revision of what is in the route."""
        rows = self.console.query(
            "SELECT right(n.name, 1), r.number FROM deployments_replica p "
            "JOIN deployments_node n ON n.id = p.node_id "
            "JOIN deployments_revision r ON r.id = p.revision_id "
            "WHERE p.state = 'ready' AND r.deployment_id = %s",
            self.deployment,
        )
        return dict(rows)

    def until(self, found: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not found():
            assert time.monotonic() < deadline, f"never: {what}; {self.now()}"
            time.sleep(0.2)

    def ends_as(self, number: int) -> None:
        """The wanted state: this revision on all three, the one before it kept, nothing else."""

        def reached() -> bool:
            now = self.now()
            return (
                self.serving() == dict.fromkeys("abc", number)
                and now["current"]["number"] == number
                and not now["problem"]
            )

        self.until(reached, f"revision {number} everywhere")
        rows = self.console.query(
            "SELECT r.number FROM deployments_revision r JOIN deployments_deployment d "
            "ON r.id IN (d.current_id, d.previous_id) WHERE d.id = %s",
            self.deployment,
        )
        rest = {f"fusebox/faults:r{row[0]}" for row in rows}
        self.until(lambda: all(node.ours() <= rest for node in self.nodes), "no tag is left behind")

    def kill(self, pattern: str) -> None:
        for pid in self.console.children(pattern):
            os.kill(pid, signal.SIGKILL)


class Load:
    """Somebody who asks without a pause; what came back is kept."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.answers: list[tuple[int, str]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(1)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            answer = self.console.ask(model="faults", max_tokens=6)
            self.answers.append((answer.status_code, answer.text[:200]))

    @property
    def failures(self) -> list[tuple[int, str]]:
        return [answer for answer in self.answers if answer[0] != 200]


@pytest.fixture(scope="module")
def whole(console: Console, real_nodes: list[RealNode]) -> Iterator[Fleet]:
    fleet = Fleet(console, real_nodes)
    fleet.set_up()
    yield fleet
    fleet.tear_down()


def test_a_rollout_and_a_rollback_under_load_lose_nothing(whole: Fleet) -> None:
    before = whole.now()["current"]["number"]
    with Load(whole.console) as load:
        number = whole.change(f"Answer briefly, {before}.")
        whole.ends_as(number)
        seen = whole.now()
        path = f"deployments/{whole.deployment}/rollback/"
        whole.api("POST", path, version=seen["version"])
        whole.until(lambda: whole.serving() == dict.fromkeys("abc", before), "it went back")
    assert load.failures == []
    assert len(load.answers) > 5


@pytest.fixture
def gemma(whole: Fleet, tmp_path: Path) -> Iterator[str]:
    """On every node, approved: a model that this build of Ollama cannot load without a GPU."""
    path = gemma_file(tmp_path)
    for node in whole.nodes:
        digest = node.api.upload(path, lambda _done, _total: None)
        list(node.api.create_from_file(GEMMA, path.name, digest))
    for row in whole.api("GET", "nodes/")["results"]:
        if "fault" in row["labels"]:
            whole.api("POST", f"nodes/{row['id']}/refresh/")
    found = "SELECT model_id FROM deployments_storedmodel WHERE tag = %s ORDER BY id LIMIT 1"
    model = str(whole.console.query(found, GEMMA)[0][0])
    whole.console.sign_in("security").post(f"/models/{model}/approve/", accept_licence="on")
    yield model
    for node in whole.nodes:
        node.api.delete(GEMMA)


def test_a_model_that_cannot_load_is_taken_back_and_the_load_does_not_notice(
    whole: Fleet, gemma: str
) -> None:
    before = whole.now()["current"]["number"]
    with Load(whole.console) as load:
        whole.change("Answer briefly.", gemma)
        whole.until(lambda: bool(whole.now()["setback"]), "it was taken back by itself")
        whole.ends_as(before)
        asked = len(load.answers)
        whole.until(lambda: len(load.answers) > asked + 3, "it serves on")
    assert "gemma" in whole.now()["setback"].lower() or "runner" in whole.now()["setback"]
    assert load.failures == []


def test_a_worker_killed_in_the_middle_is_replaced(whole: Fleet) -> None:
    number = whole.change("Answer briefly, please.")
    with Load(whole.console) as load:
        whole.until(lambda: number in whole.serving().values(), "the first node is switched")
        whole.kill("celery.* worker")
        whole.ends_as(number)
    assert load.failures == []


def test_a_node_killed_in_the_middle_and_brought_back_has_the_wanted_revision(
    whole: Fleet,
) -> None:
    number = whole.change("Answer in few words.")
    with Load(whole.console) as load:
        whole.until(lambda: number in whole.serving().values(), "the first node is switched")
        whole.nodes[2].kill()
        time.sleep(3)
        whole.nodes[2].start()
        whole.ends_as(number)
    assert load.failures == []


def test_the_broker_killed_in_the_middle_is_not_missed(whole: Fleet) -> None:
    number = whole.change("Answer in very few words.")
    whole.kill("valkey-server")
    whole.ends_as(number)


def test_postgresql_killed_in_the_middle_is_taken_up_again(whole: Fleet) -> None:
    number = whole.change("Answer in one word.")
    whole.until(lambda: number in whole.serving().values(), "the first node is switched")
    whole.kill("bin/postgres -D")
    time.sleep(3)
    whole.until(whole.console.is_ready, "the console is ready again")
    whole.ends_as(number)
