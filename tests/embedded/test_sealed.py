"""The sealed log of the running product: no secret in it, nothing lost whatever is killed."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from console.embedded import wheels
from tests.console_process import Console

# A hundred with FUSEBOX_KILLS=100: some ten minutes.
KILLS = int(os.environ.get("FUSEBOX_KILLS") or 8)
VICTIMS = ("uvicorn", "audit_seal", "celery.*worker", "bin/postgres -D")
PROMPT = "canary-f3a9c1-in-a-prompt"


def settled(console: Console, seconds: float = 150) -> None:
    """Wait until everything admitted has an end and everything stored is sealed."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(Exception):
            [(admitted, ended, waiting)] = console.query(
                "SELECT count(*) FILTER (WHERE act = 'inference.admitted'),"
                " count(*) FILTER (WHERE act IN ('inference.completed', 'inference.aborted')),"
                " (SELECT count(*) FROM ledger_pending) FROM ledger_event"
            )
            if admitted == ended and not waiting:
                return
        assert time.monotonic() < deadline, (admitted, ended, waiting)
        time.sleep(1)


def test_no_secret_and_no_prompt_is_stored_exported_or_logged(
    console: Console, tmp_path: Path
) -> None:
    accounts = console.first_run["accounts"]
    secrets = [console.key, *(account["password"] for account in accounts.values())]
    for name in accounts:
        console.sign_in(name)
    console.ask(messages=[{"role": "user", "content": PROMPT}], max_tokens=20)
    console.ask(key="fbx_wrong-but-secret-all-the-same")
    secrets += [PROMPT, "fbx_wrong-but-secret-all-the-same"]
    dump = subprocess.run(
        [wheels.postgres_bin() / "pg_dump", console.installation.database_url("fusebox_admin")],
        capture_output=True,
        check=True,
    ).stdout
    places = {"the database": dump}
    for format in ("jsonl", "csv", "bundle"):
        file = tmp_path / format
        done = console.manage("audit_export", "--format", format, "--output", str(file))
        assert done.returncode == 0, done.stderr
        places[f"the export {format}"] = file.read_bytes()
    with zipfile.ZipFile(io.BytesIO(places["the export bundle"])) as archive:
        for name in archive.namelist():
            places[name] = archive.read(name)
    for log in console.installation.logs.iterdir():
        places[log.name] = log.read_bytes()
    assert len(dump) > 100_000
    found = [
        (place, number)
        for place, data in places.items()
        for number, secret in enumerate(secrets)
        if secret.encode() in data
    ]
    assert found == []


def test_the_archive_of_the_auditors_page_verifies(console: Console, tmp_path: Path) -> None:
    answer = console.sign_in("audit").post("/audit/export/", format="bundle")
    assert answer.status_code == 200
    bundle = tmp_path / "evidence.zip"
    bundle.write_bytes(answer.content)
    with zipfile.ZipFile(bundle) as archive:
        program = archive.extract("verify.py", tmp_path)
    certificate = console.data / "sealer" / "fusebox-certificate.txt"
    done = subprocess.run(
        [sys.executable, "-I", "-S", program, str(bundle), "--certificate", str(certificate)],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_auditor_verifies_in_the_browser_and_the_verdict_is_an_event(console: Console) -> None:
    auditor = console.sign_in("audit")
    auditor.post("/audit/log/verify/")
    deadline = time.monotonic() + 60
    while "Verify all of it now" not in (page := auditor.get("/audit/log/").text):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert "The log is whole" in page
    [(outcome,)] = console.query(
        "SELECT outcome FROM ledger_event WHERE act = 'audit.verify' ORDER BY id DESC LIMIT 1"
    )
    assert outcome == "success"


@contextmanager
def load(console: Console) -> Iterator[list[int]]:
    """Three clients ask without end; what they were answered is counted."""
    answers: list[int] = []
    stop = threading.Event()
    body = {
        "model": console.first_run["deployment"],
        "max_tokens": 3,
        "messages": [{"role": "user", "content": "Say a word."}],
    }

    def ask() -> None:
        headers = {"Authorization": f"Bearer {console.key}"}
        while not stop.is_set():
            try:
                url = f"{console.url}/v1/chat/completions"
                answers.append(httpx.post(url, headers=headers, json=body, timeout=30).status_code)
            except httpx.HTTPError:
                answers.append(0)
                time.sleep(0.2)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_whatever_is_killed_nothing_is_lost_or_doubled(console: Console) -> None:
    """Web with gateway, sealer, worker and PostgreSQL, in the middle of requests."""
    dice = random.Random(11)
    with load(console) as answers:
        for number in range(KILLS):
            time.sleep(dice.uniform(0.5, 3))
            victim = VICTIMS[number % len(VICTIMS)]
            for pid in console.children(victim)[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while 200 not in answers[-20:]:
            assert time.monotonic() < deadline, console.said()
            time.sleep(0.5)
    settled(console)
    doubled = console.query(
        "SELECT request_id FROM ledger_event"
        " WHERE act IN ('inference.completed', 'inference.aborted')"
        " GROUP BY request_id, deployment HAVING count(*) > 1"
    )
    assert doubled == []
    [(completed,)] = console.query(
        "SELECT count(*) FROM ledger_event WHERE act = 'inference.completed'"
    )
    assert completed >= answers.count(200) > 0
    done = console.manage("audit_verify")
    assert done.returncode == 0, done.stdout
