"""POST /v1/tasks/… as applications use it: real console, real Ollama, real SmolLM2."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.console_process import Console
from tests.gateway.test_chat import wait_for_two

NAME = "sorter"
# What no grammar of the node knows, so that only the judgement can see it: no bananas.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["word"],
    "properties": {"word": {"type": "string", "maxLength": 20, "not": {"pattern": "[bB]anana"}}},
}
PROMPT = "Answer with JSON. word is the most important word of the text, as it stands there."


@pytest.fixture(scope="module")
def sorter(console: Console, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A deployment bound to a schema, with a small context, granted to the application."""
    folder = tmp_path_factory.mktemp("sorter")
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    (folder / "prompt.txt").write_text(PROMPT)
    named = "SELECT digest FROM deployments_model WHERE name LIKE %s LIMIT 1"
    [(digest,)] = console.query(named, "smollm2%")
    made = console.manage(
        "deployment", "create", NAME, "--model", digest, "--schema", str(folder / "schema.json"),
        "--system-prompt", str(folder / "prompt.txt"), "--set", "num_ctx=256",
        "--set", "num_predict=24", "--set", "temperature=0",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    wait_live(console, NAME)
    [(deployment, user)] = console.query(
        "SELECT d.id, u.id FROM deployments_deployment d, access_user u "
        "WHERE d.name = %s AND u.kind = 'service'",
        NAME,
    )
    console.sign_in("security").post(f"/deployments/{deployment}/grant/", user=str(user), team="")
    wait_granted(console)
    yield console
    console.manage("deployment", "delete", NAME)


def wait_live(console: Console, name: str) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        [(state, problem)] = console.query(
            "SELECT state, problem FROM deployments_deployment "
            "WHERE name = %s AND state <> 'deleted'",
            name,
        )
        assert state != "failed", problem
        if state == "live":
            return
        time.sleep(0.2)
    raise AssertionError("not live in time")


def wait_granted(console: Console) -> None:
    deadline = time.monotonic() + 60
    while get(console, "/v1/tasks/sorter/openapi.json").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def get(console: Console, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {console.key}"}
    return httpx.get(console.url + path, headers=headers, timeout=60)


def run(console: Console, text: str, name: str = NAME, key: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key or console.key}"}
    return httpx.post(
        f"{console.url}/v1/tasks/{name}", json={"input": text}, headers=headers, timeout=300
    )


def events_of(console: Console, answer: httpx.Response) -> list[tuple[str, str, dict[str, Any]]]:
    rows = console.query(
        "SELECT act, outcome, leaf FROM ledger_event WHERE request_id = %s ORDER BY id",
        answer.headers["x-request-id"],
    )
    return [(act, outcome, json.loads(bytes(leaf))) for act, outcome, leaf in rows]


def test_a_task_is_answered_in_the_shape_of_its_schema(sorter: Console) -> None:
    answer = run(sorter, "The printer on the third floor is broken.")
    told = answer.json()
    assert answer.status_code == 200, told
    assert set(told["output"]) == {"word"}
    assert told["valid"] is True
    assert told["usage"]["completion_tokens"] > 0
    admitted, completed = events_of(sorter, answer)
    assert (admitted[0], completed[0]) == ("inference.admitted", "inference.completed")
    assert (completed[1], completed[2]["ai"]["op"]) == ("success", "task")


def test_an_answer_that_breaks_the_schema_is_an_error_with_the_raw_text(sorter: Console) -> None:
    answer = run(sorter, "banana banana banana banana banana banana")
    assert answer.status_code == 422, answer.json()
    error = answer.json()["error"]
    assert error["code"] == "output_invalid"
    assert "anana" in error["raw"]
    assert (error["problems"][0]["field"], error["problems"][0]["what"]) == ("word", "not")
    completed = events_of(sorter, answer)[1]
    assert (completed[1], completed[2]["reason"]) == ("failure", "output_invalid")
    assert "anana" not in json.dumps(completed[2])


def test_a_text_beyond_the_context_is_said_to_be_and_not_cut(sorter: Console) -> None:
    """The node would throw the beginning away and answer; its own count gives it away."""
    tried = run(sorter, "The printer is broken. " * 80)
    assert tried.status_code == 422, tried.json()
    assert tried.json()["error"]["code"] == "input_too_long"
    assert events_of(sorter, tried)[1][2]["reason"] == "input_too_long"
    hopeless = run(sorter, "x" * 3_000)
    assert hopeless.json()["error"]["code"] == "input_too_long"
    [(act, outcome, leaf)] = events_of(sorter, hopeless)
    assert (act, outcome, leaf["details"]["status"]) == ("inference.refused", "failure", 422)


def test_what_is_not_granted_looks_like_what_is_not_there(sorter: Console) -> None:
    # Written so that no client takes the dots out of the way.
    for name in ("no-such-thing", "%2e%2e", "sorter%2f%2e%2e%2fassistant"):
        assert run(sorter, "x", name).json()["error"]["code"] in ("model_not_found", "unknown_url")
    assert run(sorter, "x" * 3_000, "no-such-thing").status_code == 404
    assert run(sorter, "x", key="fbx_wrong").status_code == 401
    assert get(sorter, "/v1/tasks/no-such-thing/openapi.json").status_code == 404
    assert get(sorter, "/v1/tasks/sorter").status_code == 405


def test_the_contract_is_there_for_each_deployment(sorter: Console) -> None:
    listed = {task["id"]: task for task in get(sorter, "/v1/tasks").json()["data"]}
    assert listed["sorter"]["schema"] == SCHEMA
    assert listed["assistant"]["schema"] is None
    contract = get(sorter, listed["sorter"]["openapi"]).json()
    assert contract["components"]["schemas"]["Output"] == SCHEMA


def test_openais_client_shows_the_raw_text_of_an_error(sorter: Console) -> None:
    """Whoever has the SDK need not parse errors by hand."""
    client = openai.OpenAI(base_url=f"{sorter.url}/v1", api_key=sorter.key, max_retries=0)
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.post("/tasks/sorter", body={"input": "x" * 3_000}, cast_to=object)
    assert refused.value.code == "input_too_long"
    assert refused.value.body["context"] == 256  # type: ignore[index, call-overload]


def test_a_node_that_dies_under_a_task_is_told_and_comes_back(sorter: Console) -> None:
    found: list[httpx.Response] = []
    story = "Tell me a very long story about the sea, with all its waves."
    before = admitted_so_far(sorter)
    asking = threading.Thread(target=lambda: found.append(run(sorter, story, "assistant")))
    asking.start()
    wait_admitted(sorter, before)
    os.kill(sorter.children("ollama-lib serve|bin/ollama serve")[0], signal.SIGKILL)
    asking.join(300)
    assert found[0].status_code == 502, found[0].text
    assert found[0].json()["error"]["code"] in ("node_unreachable", "node_error")
    admitted, ended = wait_for_two(sorter, found[0].headers["x-request-id"])
    assert (admitted[0], ended[0], ended[1]) == ("inference.admitted", "inference.aborted", "error")
    deadline = time.monotonic() + 300
    while run(sorter, "The printer is broken.").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(1)


def admitted_so_far(console: Console) -> int:
    [(number,)] = console.query(
        "SELECT count(*) FROM ledger_event WHERE act = 'inference.admitted'"
    )
    return int(number)


def wait_admitted(console: Console, before: int) -> None:
    """Until one request more than before is under way."""
    deadline = time.monotonic() + 120
    while admitted_so_far(console) <= before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_grant_taken_back_between_two_rows_refuses_the_second(sorter: Console) -> None:
    [(grant, deployment, user)] = sorter.query(
        "SELECT g.id, g.deployment_id, g.user_id FROM access_grant g "
        "JOIN deployments_deployment d ON d.id = g.deployment_id WHERE d.name = %s",
        NAME,
    )
    security = sorter.sign_in("security")
    security.post(f"/grants/{grant}/revoke/")
    deadline = time.monotonic() + 30
    while (answer := run(sorter, "x" * 3_000)).status_code != 404:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer.json()["error"]["code"] == "model_not_found"
    assert events_of(sorter, answer)[0][2]["reason"] == "not_granted"
    security.post(f"/deployments/{deployment}/grant/", user=str(user), team="")
    wait_granted(sorter)
