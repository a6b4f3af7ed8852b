"""The main job as each of the four persons, in both languages, in a real browser."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.console_process import Console

pytestmark = pytest.mark.browser

Visit = Callable[..., Visitor]


def name_in(language: str, stem: str) -> str:
    return f"{stem}-{language[:2].lower()}"


def test_the_system_administrator_switches_a_model_on_tries_it_and_takes_it_away(
    visit: Visit, language: str
) -> None:
    system = visit("system")
    page, name = system.page, name_in(language, "helper")
    system.open("/nodes/")
    page.click("#node-table a")
    page.wait_for_selector("#node-state")
    assert "0.9.3" in system.text() or "Ollama" in system.text()
    system.open("/deployments/create/")
    page.select_option("#id_model", index=1)
    page.fill("#id_name", "Not A Name")
    page.click("main form button")
    assert page.get_attribute("#id_name", "aria-invalid") == "true"
    assert page.input_value("#id_name") == "Not A Name"
    page.fill("#id_name", name)
    page.click("main form button")
    page.wait_for_selector("#deployment-state .steps-list, #deployment-state .state-good")
    system.keep("operation")
    page.wait_for_selector("#deployment-state h1 .state-good", timeout=60_000)
    assert "Paris" in system.text()
    system.keep("live")

    page.click("a[href$='/try/']")
    page.fill("#message", "What is the capital of France?")
    page.fill("#temperature", "0")
    page.press("#message", "Enter")
    page.wait_for_selector(".turn-assistant .turn-meta span")
    assert "Paris" in page.inner_text(".turn-assistant")
    assert re.search(r"\d", page.inner_text(".turn-assistant .turn-meta"))
    system.keep("playground")

    page.go_back()
    page.click("a[href$='/change/']")
    page.fill("#id_system_prompt", "Answer in one short sentence.")
    page.click("main form button")
    page.wait_for_selector("tr:has(a[href*='new=2']) .state-good", timeout=60_000)
    page.click("a[href*='new=2']")
    assert "Answer in one short sentence." in page.inner_text(".line-new ins >> nth=-1")
    system.keep("compare")
    page.go_back()
    system.submit("/rollback/")
    page.wait_for_selector("tr:has(a[href*='new=1']) .state-good", timeout=60_000)
    system.open("/fleet/")
    assert name in system.text()
    system.keep("fleet")
    page.click(f"#fleet-table a:text-is('{name}')")
    page.click("a[href$='/stop/']")
    page.click("main form .btn-danger")
    page.wait_for_selector("#deployment-state form[action$='/start/']", timeout=30_000)
    system.submit("/start/")
    page.wait_for_selector("#deployment-state h1 .state-good", timeout=60_000)
    page.click("a[href$='/delete/']")
    system.keep("confirm")
    page.click("main form .btn-danger")
    page.wait_for_selector("#deployment-table")
    expect(page.locator("#deployment-table")).not_to_contain_text(name, timeout=30_000)


def test_the_security_administrator_grants_and_issues_and_takes_back(
    visit: Visit, console: Console, language: str
) -> None:
    security = visit("security")
    page, name = security.page, name_in(language, "claims")
    security.open("/people/create/")
    page.fill("#id_username", name)
    page.click("main form button")
    assert re.fullmatch(r"(\w{4}-){3}\w{4}", page.inner_text("#secret"))
    security.keep("one-time-password")
    security.open("/teams/create/")
    page.fill("#id_name", f"Team {name}")
    page.click("main form button")
    page.select_option("#id_user", label=name)
    security.submit("/members/add/")
    page.click("form[action$='/grant/'] button")
    page.wait_for_selector("form[action$='/revoke/']")
    assert "assistant" in security.text()
    security.keep("team")

    security.open("/keys/issue/")
    page.select_option("#id_owner", label=name)
    page.fill("#id_name", "browser-key")
    page.click("main form button")
    key = page.inner_text("#secret")
    assert key.startswith("fbx_")
    assert "Paris" in console.ask(key).text
    security.open("/keys/")
    assert key not in page.content()
    page.click("#key-table a[href$='/revoke/']")
    page.click("main form .btn-danger")
    page.wait_for_selector("#key-table .state-warn")
    page.wait_for_timeout(1000)
    assert console.ask(key).status_code == 401


def test_a_member_of_staff_chats_with_what_was_granted_and_nothing_else(
    visit: Visit, console: Console
) -> None:
    member = visit("member", 390)
    page = member.page
    # Other journeys may have granted more, in any order.
    granted = console.query(
        "SELECT DISTINCT d.name FROM deployments_deployment d "
        "JOIN access_grant g ON g.deployment_id = d.id "
        "LEFT JOIN access_membership m ON m.team_id = g.team_id "
        "JOIN access_user u ON u.id IN (g.user_id, m.user_id) "
        "WHERE u.username = 'member' AND d.state = 'live'"
    )
    names = page.locator(".tile strong").all_inner_texts()
    assert "assistant" in names and sorted(names) == sorted(name for (name,) in granted)
    page.locator(".tile", has=page.get_by_text("assistant", exact=True)).click()
    page.fill("#message", "What is the capital of France?")
    page.click("#send")
    page.wait_for_selector(".turn-assistant .turn-meta button")
    assert "Paris" in page.inner_text(".turn-assistant")
    page.fill("#message", "<img src=x onerror=alert(1)>")
    page.press("#message", "Enter")
    expect(page.locator(".turn-assistant .turn-meta button")).to_have_count(2, timeout=60_000)
    assert page.locator(".turn img").count() == 0
    member.keep("chat")
    assert member.open("/nodes/") == 403
    assert "System administrator" in member.text()
    member.keep("refused")
    assert member.open("/no-such-page/") == 404
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide


def test_the_audit_administrator_finds_opens_and_exports_both(
    visit: Visit, console: Console, tmp_path: Path
) -> None:
    answered = console.ask().headers["x-request-id"]
    refused = console.ask(key="fbx_wrong").headers["x-request-id"]
    audit = visit("audit")
    page = audit.page
    audit.open("/audit/events/")
    page.select_option("#f-outcome", "denied")
    page.fill("#f-request", refused)
    page.click("form[role=search] .btn-primary")
    page.wait_for_selector(".chip")
    expect(page.locator("#events .table tbody tr")).to_have_count(1)
    audit.keep("found")
    page.click("#events .table tbody a")
    assert "invalid_api_key" in audit.text()
    audit.open(f"/audit/events/?request={answered}")
    page.click("#events .table tbody a")
    assert "inference.completed" in audit.text()
    assert page.locator("a[href^='/audit/events/']").count() > 1
    audit.keep("event")

    audit.open("/audit/events/")
    for format in ("jsonl", "csv"):
        with page.expect_download() as waiting:
            page.click(f"button[value={format}]")
        waiting.value.save_as(tmp_path / f"events.{format}")
    leaves = [json.loads(line) for line in (tmp_path / "events.jsonl").read_bytes().splitlines()]
    acts = {(leaf["req"].get("id"), leaf["act"]) for leaf in leaves}
    assert (answered, "inference.completed") in acts
    assert (refused, "inference.refused") in acts
    raw = (tmp_path / "events.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(raw.decode("utf-8-sig").splitlines()))
    assert any(answered in row for row in rows)
    assert len(rows) > 10


PAGES = {
    "system": [
        "/",
        "/fleet/",
        "/nodes/",
        "/nodes/register/",
        "/models/",
        "/models/pull/",
        "/deployments/",
        "/deployments/create/",
        "/operations/",
        "/people/",
        "/account/",
    ],
    "security": [
        "/",
        "/people/",
        "/people/create/",
        "/teams/",
        "/teams/create/",
        "/keys/",
        "/keys/issue/",
        "/service-accounts/create/",
    ],
    "audit": [
        "/",
        "/audit/events/",
        "/audit/exports/",
        "/audit/log/",
        "/audit/cases/",
        "/audit/cases/open/",
        "/alarms/",
        "/alarms/rules/",
        "/alarms/rules/off_hours/",
        "/alarms/receivers/",
        "/alarms/receivers/add/",
    ],
    "member": ["/chat/", "/tasks/", "/account/"],
}
# What stays Latin on a Chinese page: names that people gave, and answers of models.
NAMES = "|".join(
    (
        "System administrator",
        "Security administrator",
        "Audit administrator",
        "Member of staff",
        "Made at the first start",
        "small general assistant",
        "First application",
        "The capital of France",
    )
)


@pytest.mark.parametrize("role", sorted(PAGES))
def test_no_english_is_left_on_chinese_pages_and_nothing_overflows(visit: Visit, role: str) -> None:
    visitor = visit(role, 390)
    for path in PAGES[role]:
        assert visitor.open(path) == 200
        assert not visitor.page.evaluate("document.documentElement.scrollWidth > innerWidth"), path
        if visitor.chinese:
            assert visitor.words_outside(NAMES) == [], path
