"""From signing in to a granted deployment of a scenario, with every click counted.

`make screenshots` runs it and keeps the screens for docs/scenarios.md.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

Visit = Callable[..., Visitor]
FEWER_THAN = 10
TRIAL_MS, LIVE_MS = 900_000, 600_000
ENDED = "#h-trial .state-good, #h-trial .state-bad, #h-trial .state-warn"


class Counted:
    """Clicks as a person makes them, choosing in a list included."""

    def __init__(self) -> None:
        self.number = 0

    def sign_in(self, visit: Visit, role: str) -> Visitor:
        self.number += 1
        return visit(role)

    def click(self, visitor: Visitor, selector: str) -> None:
        self.number += 1
        visitor.page.click(selector)

    def choose(self, visitor: Visitor, selector: str) -> None:
        self.number += 1
        visitor.page.select_option(selector, index=0)


def test_from_signing_in_to_a_granted_scenario_in_under_ten_clicks(visit: Visit) -> None:
    clicks = Counted()
    system = clicks.sign_in(visit, "system")
    clicks.click(system, ".page-head a[href='/scenarios/']")
    system.page.wait_for_selector("a.tile[href$='/ticket-sorting/']")
    system.keep("1-jobs")
    clicks.click(system, "a.tile[href$='/ticket-sorting/']")
    system.page.wait_for_selector("#h-models")
    system.keep("2-models-that-fit")
    clicks.click(system, "form[action$='/try/'] button.btn-primary")
    system.page.wait_for_selector(ENDED, timeout=TRIAL_MS)
    page = system.page
    expect(page.locator("#trial tbody tr th").first).to_contain_text("smollm2")
    assert page.locator(".answers").count() == 3
    page.locator("#h-trial").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#trial').scrollIntoView()")
    system.keep("3-answers-beside-one-another")
    clicks.click(system, "#trial a[href*='/deployments/create/']")
    page.wait_for_selector("#fit table")
    assert page.input_value("#id_name").startswith("ticket-sorting")
    system.keep("4-deploy")
    clicks.click(system, "main form button.btn-primary")
    page.wait_for_selector("#deployment-state h1 .state-good", timeout=LIVE_MS)
    address = page.url
    page.reload()
    assert page.locator("#h-chosen-1").count() == 1
    expect(page.locator("#h-granted")).to_be_visible()
    assert address in page.inner_text("#grant-link")
    system.keep("5-live-and-how-it-was-chosen")

    security = clicks.sign_in(visit, "security")
    path = address.split("/deployments/", 1)[1]
    form = f"form[action='/deployments/{path}grant/']"
    security.page.wait_for_selector(form)
    security.keep("6-granted-to-nobody-yet")
    clicks.choose(security, f"{form} select")
    clicks.click(security, f"{form} button")
    security.page.wait_for_selector(".alert-success")
    assert security.page.locator(form).count() == 0
    security.keep("7-granted")
    assert clicks.number < FEWER_THAN

    member = visit("member")
    assert member.page.locator(f"a[href*='/deployments/{path}']").count() > 0


def test_texts_of_ones_own_are_kept_through_a_mistake_and_may_be_deleted(visit: Visit) -> None:
    system = visit("system", 390)
    page = system.page
    system.open("/scenarios/ticket-sorting/")
    page.click("details:has(#id_text_1) > summary")
    page.fill("#id_text_1", "My screen has been black since this morning.")
    page.fill("#id_expected_1", "colour = red")
    page.click("form[action$='/try/'] button.btn-primary")
    page.wait_for_selector("#id_expected_1_error")
    assert page.input_value("#id_text_1").startswith("My screen")
    assert page.get_attribute("#id_expected_1", "aria-invalid") == "true"
    page.fill("#id_expected_1", "category = technical")
    page.click("form[action$='/try/'] button.btn-primary")
    page.wait_for_selector(ENDED, timeout=TRIAL_MS)
    assert "black since this morning" in page.inner_text("#trial")
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide
    system.keep("own-texts")
    page.click("form[action$='/forget/'] button")
    page.wait_for_selector(".alert-success")
    assert "black since this morning" not in page.inner_text("main")
