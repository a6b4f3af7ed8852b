"""The filter of the events' page and the chart above it, as an auditor uses them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from tests.browser.test_journeys import Visit

pytestmark = pytest.mark.browser


def test_what_is_wrong_is_marked_on_the_field_that_stays(visit: Visit) -> None:
    audit = visit("audit")
    page = audit.page
    audit.open("/audit/events/")
    page.fill("#f-start", "2026-11-02T10:05:07")
    page.fill("#f-end", "2026-11-01T10:05")
    page.click("form[role=search] .btn-primary")
    expect(page.locator("#filter-problem")).to_be_visible()
    expect(page.locator("#f-end")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#f-end")).to_have_attribute("aria-describedby", "filter-problem")
    assert page.locator("[aria-invalid]").count() == 1
    audit.keep_all("filter-at-fault")
    page.fill("#f-end", "")
    page.click("form[role=search] .btn-primary")
    page.wait_for_selector(".chip")
    assert page.locator("[aria-invalid], [aria-describedby=filter-problem]").count() == 0
    page.reload()
    expect(page.locator("#f-start")).to_have_value("2026-11-02T10:05:07")
    audit.keep_all("filter-with-seconds")


def test_a_time_without_events_has_no_chart_and_a_full_bar_says_so(visit: Visit) -> None:
    audit = visit("audit")
    page = audit.page
    with page.expect_response("**/counts/**") as counted:
        audit.open("/audit/events/?start=2999-01-01")
    assert counted.value.status == 200
    expect(page.locator("figure.counts")).to_be_hidden()
    audit.keep_all("filter-nothing")

    def full(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"capped": True})

    audit.open("/audit/events/")
    page.wait_for_selector("figure.counts .uplot")
    expect(page.locator("[data-capped]")).to_be_hidden()
    page.route("**/counts/**", full)
    page.reload()
    expect(page.locator("[data-capped]")).to_be_visible()
    audit.keep_all("filter-full-bar")


def test_a_saved_search_is_replaced_and_deleted_with_a_word(visit: Visit) -> None:
    audit = visit("audit")
    page = audit.page
    for _ in range(2):
        audit.open("/audit/events/?outcome=denied")
        page.fill("#save-name", "a name")
        page.click("form[action$='/searches/save/'] button")
        page.wait_for_selector(".chip-button")
    audit.keep_all("search-replaced")
    page.click(".chip-button")
    page.wait_for_selector(".btn-danger")
    audit.keep_all("search-delete")
    page.click(".btn-danger")
    expect(page.locator(".chip-button")).to_have_count(0)
