"""Captured content on a whole console with a real model: nothing by default, and by two people's
decision encrypted, read by break-glass only, and gone with the person."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from console.embedded import wheels
from tests.console_process import Console, Person
from tests.gateway.test_chat import events_of

REQUESTS = 100


def word() -> str:
    return f"canary{uuid4().hex}"


def places_of(words: str, *folders: Path) -> list[Path]:
    """Every file of these folders that has the words, read byte by byte."""
    wanted = words.encode()
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                if path.is_file() and wanted in path.read_bytes():
                    found.append(path)
            except OSError:
                continue
    return found


def everywhere(console: Console, tmp_path: Path) -> list[Path]:
    """The database's files with what it has yet to write, a dump of it, logs, exports, keys."""
    dump = tmp_path / f"dump-{uuid4().hex}.sql"
    url = console.installation.database_url("fusebox_owner")
    pg_dump = wheels.postgres_bin() / "pg_dump"
    subprocess.run([pg_dump, "--file", dump, url], check=True, timeout=120)
    return [console.data / "postgres", console.data / "logs", console.data / "exports",
            console.data / "content-keys", tmp_path, console.output.parent]  # fmt: skip


def ask(console: Console, text: str, **body: Any) -> httpx.Response:
    messages = [{"role": "user", "content": text}]
    answer = console.ask(messages=messages, max_tokens=body.pop("max_tokens", 8), **body)
    assert answer.status_code == 200, answer.text
    return answer


def content_of(console: Console, request_id: str) -> dict[str, object]:
    found: dict[str, object] = events_of(console, request_id)[-1][2].get("content", {})
    return found


def test_by_default_nothing_of_a_hundred_requests_is_stored_anywhere(
    console: Console, tmp_path: Path
) -> None:
    secret, keys = word(), console.data / "content-keys"
    before = (console.query("SELECT count(*) FROM office_content"), set(keys.rglob("*.key")))
    for number in range(REQUESTS):
        answer = ask(console, f"{secret} {number}", max_tokens=1)
        assert "x-fusebox-kept" not in answer.headers
    assert content_of(console, answer.headers["x-request-id"]) == {}
    after = (console.query("SELECT count(*) FROM office_content"), set(keys.rglob("*.key")))
    assert after == before
    export = console.manage("audit_export", "--format", "jsonl", "--output", str(tmp_path / "e"))
    assert export.returncode == 0, export.stderr
    assert places_of(secret, *everywhere(console, tmp_path)) == []


@pytest.fixture
def deployment(console: Console) -> str:
    return str(
        console.query("SELECT id FROM deployments_deployment WHERE name = 'assistant'")[0][0]
    )


def approve(person: Person, console: Console, act: str) -> None:
    rows = console.query("SELECT id FROM access_proposal WHERE act = %s AND state = 'waiting'", act)
    answer = person.post(f"/proposals/{rows[0][0]}/approve/")
    assert answer.status_code == 302
    [[state]] = console.query("SELECT state FROM access_proposal WHERE id = %s", rows[0][0])
    assert state == "applied"


@pytest.fixture
def capturing(console: Console, deployment: str) -> Iterator[str]:
    """Kept by decision of two people; ended by one."""
    security, audit = console.sign_in("security"), console.sign_in("audit")
    asked = security.post(
        f"/deployments/{deployment}/capture/", prompt="on", answer="on", percent="100", days="30",
        purpose="Quality of answers", necessity="Nothing less shows it", reason="complaints",
    )  # fmt: skip
    assert asked.status_code == 302, asked.text[:2000]
    approve(audit, console, "capture.set")
    wait_for_header(console, there=True)
    yield deployment
    [[pk]] = console.query("SELECT id FROM office_capturepolicy WHERE ended_at IS NULL")
    assert security.post(f"/capture/{pk}/end/").status_code == 302
    wait_for_header(console, there=False)


def wait_for_header(console: Console, *, there: bool) -> None:
    """Gateways hear of a decision a moment after it was made."""
    deadline = time.monotonic() + 20
    while ("x-fusebox-kept" in ask(console, "warm", max_tokens=1).headers) != there:
        assert time.monotonic() < deadline


def test_what_is_kept_is_encrypted_committed_to_and_read_by_break_glass_only(
    console: Console, capturing: str, tmp_path: Path
) -> None:
    secret = word()
    whole = ask(console, f"Repeat: {secret}")
    assert whole.headers["x-fusebox-kept"] == "prompt, answer; days=30; percent=100"
    streamed = ask(console, f"Say yes. {secret}", stream=True)
    kept = [content_of(console, a.headers["x-request-id"]) for a in (whole, streamed)]
    assert all(said["captured"] and said["prompt_c"] and said["response_c"] for said in kept), kept
    assert places_of(secret, *everywhere(console, tmp_path)) == []

    audit, security = console.sign_in("audit"), console.sign_in("security")
    now = time.time()
    times = {
        name: time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now + offset))
        for name, offset in (("start", -3600), ("end", 3600))
    }
    asked = audit.post(
        "/content/ask/", deployment=capturing, minutes="5", reason="case 12", person="", **times
    )
    assert asked.status_code == 302, asked.text[:2000]
    approve(security, console, "content.open")
    [[opening]] = console.query("SELECT id FROM office_opening ORDER BY opened_at DESC LIMIT 1")
    listed = audit.get(f"/content/{opening}/").text
    for said, answer in zip(kept, (whole, streamed), strict=True):
        path = f"/content/{opening}/{said['ref']}/"
        assert path in listed and secret not in listed
        page = audit.get(path).text
        assert secret in page
        assert "matches its commitment" in page
        if answer is whole:
            words = answer.json()["choices"][0]["message"]["content"].split()
            assert all(one in re.sub(r"&#x27;|&quot;", "'", page) for one in words[:1])
        assert security.get(path).status_code == 403
    assert console.query("SELECT count(*) FROM ledger_event WHERE act = 'content.view'") == [(2,)]


def test_a_client_that_hangs_up_does_not_escape(console: Console, capturing: str) -> None:
    body = {"model": "assistant", "stream": True, "max_tokens": 400,
            "messages": [{"role": "user", "content": "Tell me a very long story."}]}  # fmt: skip
    headers = {"Authorization": f"Bearer {console.key}"}
    with httpx.stream(
        "POST", f"{console.url}/v1/chat/completions", json=body, headers=headers, timeout=60
    ) as answer:
        next(answer.iter_bytes())
    request, deadline = answer.headers["x-request-id"], time.monotonic() + 30
    while events_of(console, request)[-1][0] != "inference.aborted":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert content_of(console, request)["captured"] is True


def test_members_are_told_before_they_type_and_nobody_is_kept_untold(
    console: Console, capturing: str
) -> None:
    member = console.sign_in("member")
    page = member.get(f"/deployments/{capturing}/use/").text
    assert "Quality of answers" in page and "30 days" in page
    found = re.search(r'data-notice="([0-9a-f-]{36})"', page)
    assert found
    token = member.http.cookies["fusebox_csrf"]

    def say(notice: str | None) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
        return member.http.post(
            f"/deployments/{capturing}/chat/",
            content=json.dumps({**body, "notice": notice}),
            headers={"X-CSRFToken": token, "Content-Type": "application/json"},
        )

    assert say(None).status_code == 409
    assert say(found[1]).status_code == 200


def test_an_erased_person_is_found_nowhere(
    console: Console, capturing: str, tmp_path: Path
) -> None:
    """Words in the database's files, a fresh dump, logs and exports; and their key is gone."""
    secret, name = word(), f"leaver{uuid4().hex[:8]}"
    system, security = console.sign_in("system"), console.sign_in("security")
    made = system.post("/people/create/", username=name, display_name=f"{name} Wang")
    password = re.search(r"[\w-]{19}(?=</)", made.text)
    assert password, made.text[:3000]
    [[pk]] = console.query("SELECT id FROM access_user WHERE username = %s", name)
    granted = security.post(f"/deployments/{capturing}/grant/", user=str(pk))
    assert granted.status_code == 302
    leaver = Person(console, name, password[0])
    page = leaver.get(f"/deployments/{capturing}/use/").text
    notice = re.search(r'data-notice="([0-9a-f-]{36})"', page)
    assert notice
    said = leaver.http.post(
        f"/deployments/{capturing}/chat/",
        content=json.dumps({
            "messages": [{"role": "user", "content": secret}], "max_tokens": 4, "notice": notice[1],
        }),
        headers={"X-CSRFToken": leaver.http.cookies["fusebox_csrf"],
                 "Content-Type": "application/json"},
    )  # fmt: skip
    assert "[DONE]" in said.text
    rows = console.query("SELECT wrapped FROM office_content WHERE person_id = %s", pk)
    assert len(rows) == 1
    assert list((console.data / "content-keys").rglob(f"{pk}.key"))
    system.post(f"/people/{pk}/disable/")
    asked = security.post(f"/people/{pk}/erase/", basis="request", reason="a letter of today")
    assert asked.status_code == 302, asked.text[:2000]
    approve(console.sign_in("audit"), console, "user.erase")
    done = console.manage("erase", "--now")
    assert done.returncode == 0, done.stderr
    assert console.query("SELECT count(*) FROM office_content WHERE person_id = %s", pk) == [(0,)]
    assert not list((console.data / "content-keys").rglob(f"{pk}.key"))
    export = console.manage("audit_export", "--format", "csv", "--output", str(tmp_path / "e.csv"))
    assert export.returncode == 0, export.stderr
    places = everywhere(console, tmp_path)
    assert places_of(secret, *places) == []
    # Inside the floor names are kept in the log and shown to nobody.
    assert name not in (tmp_path / "e.csv").read_text(encoding="utf-8-sig")
    verified = console.manage("audit_verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
