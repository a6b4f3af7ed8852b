"""Production rehearsed: several processes, DEBUG off, real engines, a stop in mid-stream."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from console.embedded import spawn
from console.embedded.installation import Installation
from tests.production.rehearsal import FIRST, STATE, Rehearsal

STOPPED = (0, -signal.SIGTERM)


@pytest.fixture(scope="module")
def production(
    tmp_path_factory: pytest.TempPathFactory, installation: Installation, model_node_url: str
) -> Iterator[Rehearsal]:
    running = Rehearsal(tmp_path_factory.mktemp("production"), installation, model_node_url)
    running.manage("collectstatic", "--noinput", "--verbosity", "0")
    running.manage("prepare_database")
    running.manage("migrate", "--noinput", "--verbosity", "0")
    try:
        for service in ("sealer", "worker", "operations", "transfers", "beat", "web", "gateway"):
            running.start(service)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def key(production: Rehearsal) -> str:
    """A key for a deployment that production's own worker switched on."""
    made = production.ask_django(FIRST)
    deadline = time.monotonic() + 90
    state = {"state": "?"}
    while time.monotonic() < deadline:
        state = production.ask_django(STATE)
        if state["state"] in ("live", "failed"):
            break
    assert state["state"] == "live", f"{state}\n{production.said('operations')}"
    return str(made["key"])


def ask(production: Rehearsal, service: str, key: str, **body: object) -> httpx.Request:
    question = {"role": "user", "content": "What is the capital of France?"}
    return httpx.Request(
        "POST",
        f"{production.url(service)}/v1/chat/completions",
        headers={**production.headers, "Authorization": f"Bearer {key}"},
        json={"model": "helpdesk", "temperature": 0, "messages": [question], **body},
    )


def said(lines: list[str]) -> str:
    text = ""
    for line in lines:
        if line.startswith("data: {"):
            choices = json.loads(line.removeprefix("data: "))["choices"]
            text += choices[0]["delta"].get("content", "") if choices else ""
    return text


@pytest.mark.parametrize("service", ["web", "gateway"])
def test_every_face_is_alive_and_ready(production: Rehearsal, service: str) -> None:
    assert production.get(service, "/healthz").status_code == 200
    assert production.get(service, "/readyz").status_code == 200


def test_the_web_runs_as_two_processes(production: Rehearsal) -> None:
    pid = production.processes["web"].pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    serving = [c for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]
    assert len(serving) == 2


def test_the_sign_in_page_comes_with_its_files_and_its_walls(production: Rehearsal) -> None:
    page = production.get("web", "/sign-in/")
    assert page.status_code == 200
    assert "max-age=31536000" in page.headers["strict-transport-security"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    assert "secure" in page.headers["set-cookie"].lower()
    files = re.findall(r'(?:href|src)="(/static/[^"#]+)', page.text)
    assert files
    for file in files:
        answer = production.get("web", file)
        assert answer.status_code == 200, file
        assert "immutable" in answer.headers["cache-control"], f"{file} has no hash in its name"


def test_plain_http_is_sent_to_https(production: Rehearsal) -> None:
    answer = httpx.get(
        production.url("web") + "/sign-in/", headers={"Host": "fusebox.example.internal"}
    )
    assert answer.status_code == 301
    assert answer.headers["location"].startswith("https://")


def test_a_strangers_host_name_and_a_missing_page_tell_nothing(production: Rehearsal) -> None:
    stranger = httpx.get(production.url("web") + "/sign-in/", headers={"Host": "evil.example"})
    assert stranger.status_code == 400
    for answer in (stranger, production.get("web", "/no-such-page/")):
        assert "Traceback" not in answer.text and "settings" not in answer.text.lower()


def test_the_first_administrator_is_made_on_the_command_line(production: Rehearsal) -> None:
    name, password = production.manage("add_person", "grace", "--role", "security").split()
    assert name == "grace"
    assert len(password) >= 12


@pytest.mark.parametrize("service", ["web", "gateway"])
def test_a_streamed_answer_comes_from_the_real_model(
    production: Rehearsal, key: str, service: str
) -> None:
    with httpx.Client(timeout=60) as client:
        answer = client.send(ask(production, service, key, stream=True), stream=True)
        assert answer.status_code == 200
        lines = [line for line in answer.iter_lines() if line]
    assert "Paris" in said(lines)
    assert lines[-1] == "data: [DONE]"


def test_the_beat_makes_the_worker_look_at_the_nodes(production: Rehearsal, key: str) -> None:
    before = production.ask_django(STATE)["checked"]
    later = spawn.wait_until(lambda: production.ask_django(STATE)["checked"] != before, None, 45)
    assert later, production.said("beat") + production.said("worker")


@pytest.mark.parametrize("service", ["gateway", "web"])
def test_a_stream_ends_in_full_when_its_process_is_told_to_stop(
    production: Rehearsal, key: str, service: str
) -> None:
    story = [{"role": "user", "content": "Write a long story about a lighthouse keeper."}]
    request = ask(production, service, key, stream=True, max_tokens=80, messages=story)
    process = production.processes[service]
    try:
        with httpx.Client(timeout=60) as client:
            lines = client.send(request, stream=True).iter_lines()
            first = next(line for line in lines if line)
            process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]", production.said(service)
        assert len(said([first, *rest])) > 100
        assert process.wait(45) in STOPPED, production.said(service)
    finally:
        spawn.stop(process, signal.SIGTERM, 45)
        production.start(service)


@pytest.mark.parametrize("service", ["worker", "operations", "transfers", "beat"])
def test_the_background_ends_when_told_to(production: Rehearsal, key: str, service: str) -> None:
    assert production.end(service) in STOPPED, production.said(service)
    production.start(service)


def test_no_process_writes_into_the_data_folder(production: Rehearsal, key: str) -> None:
    assert not (production.folder / "data").exists()


def test_nothing_went_wrong_unnoticed(production: Rehearsal, key: str) -> None:
    for service in ("web", "gateway", "worker", "operations", "transfers", "beat"):
        assert "Traceback" not in production.said(service), production.said(service)


def test_the_log_is_sealed_and_a_second_sealer_stands_by(production: Rehearsal) -> None:
    deadline = time.monotonic() + 30
    while not (production.folder / "sealer" / "head.json").exists():
        assert time.monotonic() < deadline, production.said("sealer")
        time.sleep(0.2)
    production.manage("audit_seal", "--check")
    first = production.processes.pop("sealer")
    second = production.start("sealer")
    assert spawn.wait_until(lambda: "standing by" in production.said("sealer"), second, 30)
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert spawn.wait_until(lambda: "sealing" in production.said("sealer"), second, 30)
    production.manage("audit_verify")
