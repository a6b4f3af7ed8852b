"""POST /v1/chat/completions as applications use it: real console, real Ollama, real SmolLM2."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import Any

import httpx
import openai
import psycopg
import pytest

from tests.console_process import QUESTION, Console


def sdk(console: Console, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{console.url}/v1", api_key=key or console.key, max_retries=0)


def events_of(console: Console, request_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(act, outcome, leaf) of one request, in order."""
    rows = console.query(
        "SELECT act, outcome, leaf FROM ledger_event WHERE request_id = %s ORDER BY id", request_id
    )
    return [(act, outcome, json.loads(bytes(leaf))) for act, outcome, leaf in rows]


def test_the_capital_of_france_is_answered_and_both_events_are_there(console: Console) -> None:
    answer = console.ask()
    assert "Paris" in answer.json()["choices"][0]["message"]["content"]
    assert answer.json()["model"] == "assistant"
    admitted, completed = events_of(console, answer.headers["x-request-id"])
    assert [admitted[0], completed[0]] == ["inference.admitted", "inference.completed"]
    assert completed[2]["use"]["out_tok"] > 0
    assert completed[2]["ai"]["deployment"] == "assistant"
    assert len(completed[2]["ai"]["digest"]) == 64


def test_the_openai_sdk_works_unchanged(console: Console) -> None:
    client = sdk(console)
    assert [m.id for m in client.models.list()] == ["assistant"]
    assert client.models.retrieve("assistant").owned_by == "fusebox"
    stream = client.chat.completions.create(
        model="assistant",
        messages=[QUESTION],
        temperature=0,
        stream=True,  # type: ignore[list-item]
    )
    chunks = list(stream)
    assert "Paris" in "".join(c.choices[0].delta.content or "" for c in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {c.model for c in chunks} == {"assistant"}


def test_what_a_request_leaves_out_is_as_the_revision_sets_it(console: Console) -> None:
    """Ollama's OpenAI form would sample at 1.0; at the revision's 0 the answer stays the same."""
    story = [{"role": "user", "content": "Tell me a story about a lighthouse."}]

    def answers(**more: Any) -> set[str]:
        """How they begin: what a runner keeps of a prompt rounds otherwise than the whole, and
        may tip a word later on."""
        asked = [console.ask(messages=story, max_tokens=40, **more).json() for _ in range(4)]
        texts = [answer["choices"][0]["message"]["content"] for answer in asked]
        return {" ".join(text.split()[:5]) for text in texts}

    left_out = answers(temperature=None)
    assert len(left_out) == 1
    assert left_out == answers(temperature=0)
    assert len(answers(temperature=1.5)) > 1


def test_usage_comes_with_a_stream_only_when_asked_for(console: Console) -> None:
    asked = sdk(console).chat.completions.create(
        model="assistant",
        messages=[QUESTION],
        temperature=0,
        stream=True,  # type: ignore[list-item]
        stream_options={"include_usage": True},
    )
    last = list(asked)[-1]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens > 0


def test_the_end_is_durable_before_done_arrives(console: Console) -> None:
    body = {"model": "assistant", "messages": [QUESTION], "stream": True, "temperature": 0}
    headers = {"Authorization": f"Bearer {console.key}", "x-request-id": "durable-before-done"}
    with httpx.stream(
        "POST", f"{console.url}/v1/chat/completions", json=body, headers=headers, timeout=60
    ) as answer:
        for line in answer.iter_lines():
            if line == "data: [DONE]":
                break
        acts = [act for act, _outcome, _leaf in events_of(console, "durable-before-done")]
    assert acts == ["inference.admitted", "inference.completed"]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "missing_api_key"),
        ("Basic abc", "missing_api_key"),
        ("Bearer", "missing_api_key"),
        ("Bearer fbx_wrong", "invalid_api_key"),
        ("Bearer \xff\xfe", "invalid_api_key"),
    ],
)
def test_a_wrong_key_is_refused_in_openais_shape(
    console: Console, header: str, reason: str
) -> None:
    answer = httpx.post(
        f"{console.url}/v1/chat/completions",
        json={"model": "assistant", "messages": [QUESTION]},
        headers=[(b"Authorization", header.encode("latin-1"))] if header else [],
    )
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error["code"] == "invalid_api_key"
    assert set(error) == {"message", "type", "param", "code"}
    [(act, outcome, leaf)] = events_of(console, answer.headers["x-request-id"])
    assert (act, outcome, leaf["reason"]) == ("inference.refused", "denied", reason)


def test_an_unknown_deployment_is_not_found(console: Console) -> None:
    answer = console.ask(model="no-such-thing")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    [(act, _outcome, leaf)] = events_of(console, answer.headers["x-request-id"])
    assert (act, leaf["reason"]) == ("inference.refused", "unknown_model")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"\xff\xfe{}", None),
        (b"[]", None),
        (b'{"model": "assistant"}', "messages"),
        (b'{"model": "assistant", "messages": []}', "messages"),
        (b'{"model": "assistant", "messages": ["x"]}', "messages"),
        (b'{"model": 3, "messages": [{"role": "user", "content": "x"}]}', "model"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "model"),
        (b'{"model":"assistant","messages":[{"role":"user"}],"stream":"yes"}', "stream"),
        (b'{"model": "assistant", "messages": [{"role": "user", "content": "\xc3("}]}', None),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    console: Console, body: bytes, param: str | None
) -> None:
    answer = httpx.post(
        f"{console.url}/v1/chat/completions",
        content=body,
        headers={"Authorization": f"Bearer {console.key}"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["param"] == param
    [(act, outcome, _leaf)] = events_of(console, answer.headers["x-request-id"])
    assert (act, outcome) == ("inference.refused", "failure")


def test_ten_megabytes_are_too_much(console: Console) -> None:
    answer = console.ask(messages=[{"role": "user", "content": "x" * 10_000_000}])
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"
    [(act, _outcome, leaf)] = events_of(console, answer.headers["x-request-id"])
    assert (act, leaf["details"]["status"]) == ("inference.refused", 413)


def test_other_urls_and_methods_have_the_same_error_shape(console: Console) -> None:
    assert httpx.get(f"{console.url}/v1/nothing").json()["error"]["code"] == "unknown_url"
    wrong = httpx.get(f"{console.url}/v1/chat/completions")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


def test_the_prompt_the_answer_and_the_key_are_nowhere_in_the_log(console: Console) -> None:
    canary = "canary-4f1d-anger"
    console.ask(messages=[{"role": "user", "content": f"Say {canary}"}], max_tokens=8)
    console.ask(key="fbx_" + canary)
    tables = (
        "SELECT convert_from(leaf, 'UTF8') FROM ledger_event "
        "UNION ALL SELECT values::text FROM ledger_personal"
    )
    kept = "\n".join(row[0] for row in console.query(tables))
    logs = "".join(p.read_text(errors="replace") for p in (console.data / "logs").iterdir())
    assert canary not in kept + logs
    assert console.key not in kept + logs


def test_a_client_that_hangs_up_leaves_an_aborted_event(console: Console) -> None:
    body = {
        "model": "assistant",
        "stream": True,
        "max_tokens": 2000,
        "messages": [{"role": "user", "content": "Tell me a very long story about the sea."}],
    }
    headers = {"Authorization": f"Bearer {console.key}", "x-request-id": "hang-up-in-the-middle"}
    with httpx.stream(
        "POST", f"{console.url}/v1/chat/completions", json=body, headers=headers, timeout=60
    ) as answer:
        next(answer.iter_lines())
    events = wait_for_two(console, "hang-up-in-the-middle")
    assert [e[0] for e in events] == ["inference.admitted", "inference.aborted"]
    assert events[1][2]["reason"] == "client_closed"


def test_a_client_that_does_not_wait_for_its_answer_leaves_an_aborted_event(
    console: Console,
) -> None:
    body = {"model": "assistant", "messages": [QUESTION]}
    headers = {"Authorization": f"Bearer {console.key}", "x-request-id": "gone-before-the-answer"}
    kill(console, "ollama-lib serve|bin/ollama serve", signal.SIGSTOP)
    try:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{console.url}/v1/chat/completions", json=body, headers=headers, timeout=2)
        events = wait_for_two(console, "gone-before-the-answer")
    finally:
        kill(console, "ollama-lib serve|bin/ollama serve", signal.SIGCONT)
    assert (events[1][0], events[1][2]["reason"]) == ("inference.aborted", "client_closed")
    logs = "".join(p.read_text(errors="replace") for p in (console.data / "logs").glob("web*"))
    assert logs
    assert "Exception in ASGI" not in logs
    assert "never retrieved" not in logs
    assert "Paris" in eventually_asked(console)


def test_an_ollama_killed_in_mid_stream_is_told_and_comes_back(console: Console) -> None:
    body = {
        "model": "assistant",
        "stream": True,
        "max_tokens": 2000,
        "messages": [{"role": "user", "content": "Tell me a very long story about the sea."}],
    }
    headers = {"Authorization": f"Bearer {console.key}", "x-request-id": "ollama-was-killed"}
    lines: list[str] = []
    with httpx.stream(
        "POST", f"{console.url}/v1/chat/completions", json=body, headers=headers, timeout=60
    ) as answer:
        for line in answer.iter_lines():
            if not lines:
                kill(console, "ollama")
            if line:
                lines.append(line)
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "node_unreachable"
    assert "data: [DONE]" not in lines
    events = wait_for_two(console, "ollama-was-killed")
    assert (events[1][0], events[1][1]) == ("inference.aborted", "error")
    assert "Paris" in eventually_asked(console)


def test_postgresql_killed_under_load_loses_and_doubles_nothing(console: Console) -> None:
    stop = threading.Event()
    answers: list[int] = []

    def load() -> None:
        while not stop.is_set():
            try:
                answers.append(console.ask(max_tokens=4).status_code)
            except httpx.HTTPError:
                answers.append(0)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for_answers(answers, 5)
    kill(console, "bin/postgres -D")
    time.sleep(2)
    wait_for_answers(answers, answers.count(200) + 5)
    stop.set()
    for thread in threads:
        thread.join()
    assert "Paris" in eventually_asked(console)
    assert set(answers) <= {200, 503}
    assert_every_admission_ended(console)


def wait_for_answers(answers: list[int], number: int) -> None:
    deadline = time.monotonic() + 60
    while answers.count(200) < number:
        assert time.monotonic() < deadline, answers
        time.sleep(0.1)


def assert_every_admission_ended(console: Console) -> None:
    """admitted = completed + aborted, once each."""
    for _try in range(50):
        rows = console.query(
            "SELECT request_id, count(*) FILTER (WHERE act = 'inference.admitted'), "
            "count(*) FILTER (WHERE act IN ('inference.completed', 'inference.aborted')) "
            "FROM ledger_event WHERE act LIKE 'inference.%%' AND act <> 'inference.refused' "
            "GROUP BY 1 HAVING count(*) FILTER (WHERE act = 'inference.admitted') <> 1 OR "
            "count(*) FILTER (WHERE act IN ('inference.completed', 'inference.aborted')) <> 1"
        )
        if not rows:
            return
        time.sleep(0.2)
    raise AssertionError(rows)


def test_a_log_that_cannot_be_written_answers_503_and_asks_no_node(console: Console) -> None:
    url = console.installation.database_url("fusebox_owner")
    with psycopg.connect(url) as owner:
        # Whoever holds this lock keeps every writer waiting: the log is there, but not writable.
        owner.execute("LOCK TABLE ledger_intake IN SHARE MODE")
        answer = console.ask()
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "log_unavailable"
        owner.rollback()
    assert "Paris" in eventually_asked(console)
    assert_every_admission_ended(console)


def wait_for_two(console: Console, request_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    for _try in range(100):
        if len(events := events_of(console, request_id)) == 2:
            return events
        time.sleep(0.1)
    raise AssertionError(events)


def eventually_asked(console: Console) -> str:
    """An answer, once what was killed has come back by itself."""
    for _try in range(100):
        try:
            answer = console.ask()
        except httpx.HTTPError:
            answer = None
        if answer is not None and answer.status_code == 200:
            return str(answer.json()["choices"][0]["message"]["content"])
        time.sleep(0.3)
    raise AssertionError(console.said()[-2000:])


def kill(console: Console, pattern: str, number: int = signal.SIGKILL) -> None:
    found = console.children(pattern)
    assert found, pattern
    os.kill(found[0], number)
