"""An auditor's hour: who changed the system prompt, what was answered since, is the log whole, and
the evidence of it in the hands of somebody who trusts neither."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_journeys import Visit, name_in
from tests.console_process import Console

pytestmark = pytest.mark.browser
PROMPT = "Answer like a pirate of the high seas."


@pytest.fixture
def changed(visit: Visit, console: Console, language: str) -> str:
    """A deployment whose system prompt somebody changed, and that answered afterwards."""
    system, name = visit("system"), name_in(language, "hour")
    page = system.page
    system.open("/deployments/create/")
    page.select_option("#id_model", index=1)
    page.fill("#id_name", name)
    page.click("main form button")
    page.wait_for_selector("#deployment-state h1 .state-good", timeout=60_000)
    page.click("a[href$='/change/']")
    page.fill("#id_system_prompt", PROMPT)
    page.click("main form button")
    page.wait_for_selector("tr:has(a[href*='new=2']) .state-good", timeout=60_000)
    found = re.search(r"/deployments/([0-9a-f-]{36})/", page.url)
    assert found
    [(user,)] = console.query("SELECT id FROM access_user WHERE username = 'first-application'")
    console.sign_in("security").post(f"/deployments/{found[1]}/grant/", user=str(user))
    return name


def search(audit: Visitor, **values: str) -> None:
    audit.open("/audit/events/")
    for name, value in values.items():
        field = audit.page.locator(f"#f-{name}")
        if name in ("act", "outcome"):
            field.select_option(value)
        else:
            field.fill(value)
    audit.page.click("form[role=search] .btn-primary")
    audit.page.wait_for_selector(".chip")


def test_an_auditors_hour(visit: Visit, console: Console, changed: str, tmp_path: Path) -> None:
    answer = console.ask(model=changed)
    assert answer.status_code == 200
    audit = visit("audit")
    page = audit.page

    search(audit, act="deployment.change", deployment=changed)
    expect(page.locator("#events .table tbody tr")).to_have_count(1)
    page.click("#events .table tbody a")
    assert PROMPT in audit.text()
    assert re.search(r"^system ·", audit.text(), re.MULTILINE)
    audit.keep("hour-who-changed-it")

    search(audit, act="inference", deployment=changed)
    assert page.locator("#events .table tbody tr").count() >= 2
    page.click("#events .table tbody a")
    assert answer.headers["x-request-id"] in audit.text()
    assert page.locator(".alert-success").count() == 1
    audit.keep("hour-what-it-answered")

    audit.open("/audit/log/")
    page.click("form[action$='/audit/log/verify/'] .btn-primary")
    page.wait_for_selector("#verify-bar", state="detached", timeout=60_000)
    page.wait_for_selector("#h-verdict .state-good", timeout=60_000)
    audit.keep("hour-the-log")
    with page.expect_download() as waiting:
        page.click("a[href$='/audit/log/certificate/']")
    waiting.value.save_as(tmp_path / "certificate.txt")

    search(audit, deployment=changed)
    with page.expect_download() as waiting:
        page.click("button[value=bundle]")
    waiting.value.save_as(tmp_path / "evidence.zip")
    with zipfile.ZipFile(tmp_path / "evidence.zip") as archive:
        program = archive.extract("verify.py", tmp_path)
        assert PROMPT.encode() not in archive.read("events.jsonl")
        assert "verify.html" in archive.namelist()
    done = subprocess.run(
        [sys.executable, "-I", program, "evidence.zip", "--certificate", "certificate.txt"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
