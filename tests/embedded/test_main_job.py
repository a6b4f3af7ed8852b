"""The main job by script alone, and the long part of it with its worker killed in the middle."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.console_process import Console


def test_a_script_with_first_run_json_alone_asks_is_refused_and_finds_both(
    console: Console, tmp_path: Path
) -> None:
    answered, refused = console.ask(), console.ask(key="fbx_wrong")
    assert "Paris" in answered.json()["choices"][0]["message"]["content"]
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")

    file = tmp_path / "events.jsonl"
    done = console.manage("audit_export", "--format", "jsonl", "--output", str(file))
    assert done.returncode == 0, done.stderr
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    leaves = [json.loads(line) for line in file.read_bytes().splitlines()]
    found = {(leaf["req"].get("id"), leaf["act"]): leaf for leaf in leaves}
    assert (answered.headers["x-request-id"], "inference.completed") in found
    denied = found[refused.headers["x-request-id"], "inference.refused"]
    assert (denied["outcome"], denied["reason"]) == ("denied", "invalid_api_key")


def test_the_auditor_exports_over_http_and_a_member_may_not(console: Console) -> None:
    answer = console.sign_in("audit").post("/audit/export/", format="jsonl")
    assert answer.status_code == 200
    assert all(json.loads(line)["v"] == 1 for line in answer.content.splitlines())
    assert console.sign_in("member").post("/audit/export/", format="jsonl").status_code == 403


def test_a_worker_killed_in_the_middle_of_switching_on_is_resumed(console: Console) -> None:
    system = console.sign_in("system")
    [(model, node)] = console.query("SELECT model_id, node_id FROM deployments_storedmodel LIMIT 1")
    fields = {"model": str(model), "node": str(node), "name": "resumed", "num_ctx": "2048"}
    answer = system.post("/deployments/create/", **fields)
    path = answer.headers["location"]
    assert re.fullmatch(r"/deployments/[0-9a-f-]{36}/", path), answer.text[:500]
    wait_for_state(console, "running", "succeeded")
    for pid in console.children("celery.*worker"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for_state(console, "succeeded", seconds=90)
    assert console.query("SELECT state FROM deployments_deployment WHERE name = 'resumed'") == [
        ("live",)
    ]
    assert "Paris" in system.get(path).text
    system.post(f"{path}delete/")
    wait_for_state(console, "succeeded", kind="delete", seconds=60)


def wait_for_state(console: Console, *states: str, kind: str = "deploy", seconds: int = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        rows = console.query(
            "SELECT state, problem FROM deployments_operation "
            "WHERE subject = 'resumed' AND kind = %s",
            kind,
        )
        if rows and rows[0][0] in states:
            return
        time.sleep(0.02)
    raise AssertionError(rows)
