"""Three stories of the audit administrator: a colleague left today, the regulator asks for a month,
someone read what they should not."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_auditor import search
from tests.browser.test_journeys import Visit, name_in
from tests.console_process import Console, Person

pytestmark = pytest.mark.browser


def somebody(console: Console, name: str) -> tuple[str, str]:
    """A new member of staff: who they are, and their one-time password."""
    page = console.sign_in("security").post("/people/create/", username=name, role="member")
    secret = re.search(r'id="secret">((?:[^-<]{4}-){3}[^-<]{4})<', page.text)
    assert secret, page.text[:500]
    [(pk,)] = console.query("SELECT id FROM access_user WHERE username = %s", name)
    return str(pk), secret[1]


def choose_all(audit: Visitor, title: str) -> None:
    """Every event that is shown, into a new case."""
    for box in audit.page.locator("#events tbody input[type=checkbox]").all():
        box.check()
    audit.page.fill("#case-title", title)
    audit.page.click("#case-form button")
    audit.page.wait_for_selector("a[href$='/audit/cases/'], #h-notes")


def verifies(archive: Path, certificate: Path) -> str:
    """By what is in it and nothing else."""
    with zipfile.ZipFile(archive) as opened:
        program = opened.extract("verify.py", archive.parent)
    done = subprocess.run(
        [sys.executable, "-I", program, archive.name, "--certificate", certificate.name],
        cwd=archive.parent, env={"HOME": str(archive.parent)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def archive_of(audit: Visitor, console: Console, folder: Path) -> Path:
    with audit.page.expect_download() as waiting:
        audit.page.click("button[value=bundle]")
    waiting.value.save_as(folder / "evidence.zip")
    certificate = console.data / "sealer" / "fusebox-certificate.txt"
    (folder / "certificate.txt").write_text(certificate.read_text())
    return folder / "evidence.zip"


def test_a_colleague_left_today(
    visit: Visit, console: Console, language: str, tmp_path: Path
) -> None:
    """What they did, what they still could do, a hold, and the wish to be erased."""
    name = name_in(language, "leaver")
    pk, password = somebody(console, name)
    Person(console, name, password).get("/nodes/")
    security = visit("security")
    security.open(f"/people/{pk}/")
    security.page.click("a[href$='/disable/']")
    security.page.click("main form .btn-danger")
    security.page.wait_for_selector("a[href$='/erase/']")

    audit = visit("audit")
    page = audit.page
    search(audit, person=name)
    assert page.locator("#events tbody tr").count() >= 2
    audit.keep("left-what-they-did")
    choose_all(audit, f"{name} left")
    page.goto(console.url + "/audit/cases/")
    page.click(f"a:has-text('{name} left')")
    page.fill("textarea#id_text", "Account closed, keys looked at.")
    page.click("form[action$='/note/'] button")
    expect(page.locator("main")).to_contain_text("Account closed, keys looked at.")
    audit.keep("left-case")
    verifies(archive_of(audit, console, tmp_path), tmp_path / "certificate.txt")

    audit.open("/audit/holds/")
    page.select_option("#id_kind", "person")
    page.select_option("#id_person", pk)
    page.fill("#id_reason", "a dispute about the last month")
    page.click("form:has(#id_kind) .btn-primary")
    expect(page.locator("section[aria-labelledby=h-force]")).to_contain_text(
        "a dispute about the last month"
    )
    audit.keep("left-hold")

    security.page.click("a[href$='/erase/']")
    security.page.select_option("#id_basis", "request")
    security.page.fill("#id_reason", "a letter of today")
    security.keep("left-erase")
    security.page.click("main form button.btn-danger, main form button.btn-primary")
    audit.open("/")
    audit.keep("left-home")
    page.click("section[aria-labelledby=h-waits] a[href^='/proposals/'] >> nth=0")
    page.click("button[formaction$='/approve/']")
    page.wait_for_selector(".alert-success")
    wait_erased(console, pk, "restricted")
    security.open(f"/people/{pk}/")
    security.keep("left-restricted")

    audit.open("/audit/holds/")
    page.click("tr:has-text('a dispute about the last month') a[href$='/release/']")
    page.fill("#id_reason", "settled")
    page.click("main form .btn-primary")
    audit.open("/")
    assert "settled" in audit.text()
    security.open("/proposals/")
    security.page.click("a[href^='/proposals/']:not([href='/proposals/']) >> nth=0")
    security.page.click("button[formaction$='/approve/']")
    security.page.wait_for_selector(".alert-success")
    found = console.query("SELECT released_at IS NOT NULL FROM office_hold WHERE value = %s", pk)
    assert found == [(True,)]
    assert console.manage("audit_verify").returncode == 0


def wait_erased(console: Console, pk: str, state: str) -> None:
    """The worker looks once a minute."""
    console.manage("erase", "--now")
    found = console.query("SELECT state FROM office_erasure WHERE person_id = %s", pk)
    assert found == [(state,)]


def test_the_regulator_asks_for_a_month(
    visit: Visit, console: Console, language: str, tmp_path: Path
) -> None:
    """The month is held, handed over whole, and can be checked by them."""
    audit = visit("audit")
    page = audit.page
    today = datetime.now()
    first, after = today - timedelta(days=30), today + timedelta(days=1)
    moment = "%Y-%m-%dT%H:%M"
    audit.open("/audit/holds/")
    page.select_option("#id_kind", "period")
    page.fill("#id_from_at", first.strftime(moment))
    page.fill("#id_to_at", after.strftime(moment))
    reason = f"the regulator's letter ({language})"
    page.fill("#id_reason", reason)
    page.click("form:has(#id_kind) .btn-primary")
    expect(page.locator("section[aria-labelledby=h-force]")).to_contain_text(reason)
    audit.keep("month-hold")
    audit.open("/audit/retention/")
    audit.keep("month-retention")

    search(audit, start=first.strftime(moment))
    audit.keep("month-events")
    told = verifies(archive_of(audit, console, tmp_path), tmp_path / "certificate.txt")
    assert "exit code" in told
    with page.expect_download() as waiting:
        page.click("details.more summary")
        page.click("button[value=pdf]")
    assert Path(waiting.value.path()).read_bytes().startswith(b"%PDF")

    audit.open("/audit/evidence/")
    audit.keep("month-evidence")
    page.click("main a[href$='/csl/']")
    page.wait_for_selector("[aria-labelledby='c-1']")
    audit.keep("month-csl")
    audit.open("/")
    audit.keep("month-home")
    assert page.locator("section[aria-labelledby=h-taken]").inner_text().strip()


def test_someone_read_what_they_should_not(visit: Visit, console: Console, language: str) -> None:
    """A burst of refusals becomes an alarm; who, what, when; a word on it, and a case."""
    name = name_in(language, "curious")
    pk, password = somebody(console, name)
    curious = Person(console, name, password)
    for _ in range(8):
        for path in ("/people/", "/audit/events/", "/nodes/"):
            assert curious.get(path).status_code == 403
    assert console.manage("alarm", "look").returncode == 0

    audit = visit("audit")
    page = audit.page
    audit.open("/")
    page.wait_for_selector(f"section[aria-labelledby=h-alarms] a:has-text('{name}')")
    audit.keep("read-home")
    page.click(f"section[aria-labelledby=h-alarms] a:has-text('{name}')")
    expect(page.locator("section[aria-labelledby=h-events] tbody tr").first).to_be_visible()
    audit.keep("read-alarm")
    page.click("section[aria-labelledby=h-events] .card-header a")
    page.wait_for_selector("#events tbody tr")
    choose_all(audit, f"{name} at closed doors")
    page.go_back()
    page.go_back()
    page.select_option("#id_verdict", "incident")
    page.fill("#id_text", "Asked their manager; the account is closed for now.")
    page.click("main form[novalidate] .btn-primary")
    expect(page.locator("section[aria-labelledby=h-words]").first).to_contain_text(
        "Asked their manager"
    )
    audit.keep("read-word")

    # Who of us read what was kept of people's words, if anybody did.
    search(audit, act="content")
    audit.keep("read-content")
    search(audit, person=pk, outcome="denied")
    page.click("#events tbody th a >> nth=0")
    assert page.locator(".alert-success").count() == 1
    audit.keep("read-event")
    page.fill("textarea[name=text]", "Seen, and put into the case.")
    page.click("form[action$='/note/'] button")
    expect(page.locator("main")).to_contain_text("Seen, and put into the case.")
