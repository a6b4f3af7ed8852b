"""As somebody new: a node is added, a model brought in and approved, a deployment made on it,
changed, taken back and removed, and the node drained and removed. Only what the pages say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from console.embedded import ollama as engine
from console.embedded.installation import Installation
from tests import model_files
from tests.browser.conftest import Visitor
from tests.browser.test_journeys import Visit, name_in
from tests.fleet import RealNode

pytestmark = pytest.mark.browser


@pytest.fixture
def empty_node(installation: Installation, tmp_path: Path, language: str) -> Iterator[RealNode]:
    """An Ollama that nobody knows of yet, without a model."""
    node = RealNode(name_in(language, "edge"), tmp_path, engine.from_wheel(installation))
    node.start()
    yield node
    node.stop()


def follow(page: Page, *hrefs: str) -> None:
    """One link after the other, each as it stands on the page before it."""
    for href in hrefs:
        page.click(f"a[href{href}] >> nth=0")


def test_from_an_unknown_machine_to_a_deployment_and_back(
    visit: Visit, language: str, empty_node: RealNode
) -> None:
    system, name = visit("system"), name_in(language, "first")
    page = system.page
    follow(page, "='/nodes/'", "='/nodes/register/'")
    page.fill("#id_name", empty_node.name)
    page.fill("#id_url", "http://127.0.0.1:9")
    page.click("main form .btn-primary")
    page.wait_for_selector("[aria-invalid=true], .alert-danger")
    assert page.input_value("#id_name") == empty_node.name
    system.keep("node-refused")
    page.fill("#id_url", empty_node.url)
    page.click("main form .btn-primary")
    page.wait_for_selector("#node-state .state-good", timeout=60_000)
    system.keep("node-added")

    follow(page, "='/models/'", "='/models/upload/'")
    page.select_option("#id_node", label=empty_node.name)
    model = f"{name}:1"
    page.fill("#id_name", model)
    page.set_input_files("#id_model_files", str(model_files.smollm2()))
    page.click("#upload button.btn-primary")
    page.wait_for_selector("#operation-card .state-good", timeout=120_000)
    system.keep("model-brought")
    approve(visit("security"), model)

    follow(page, "='/deployments/'", "^='/deployments/create/'")
    choices = page.locator("#id_model option").all_inner_texts()
    page.select_option("#id_model", label=next(c for c in choices if model in c or "smollm2" in c))
    page.select_option("#id_node", label=empty_node.name)
    page.fill("#id_name", name)
    page.click("main form button.btn-primary")
    page.wait_for_selector("#deployment-state h1 .state-good", timeout=120_000)
    assert empty_node.name in system.text()
    system.keep("first-live")
    follow(page, "$='/change/'")
    page.fill("#id_system_prompt", "Answer in one short sentence.")
    page.click("main form button.btn-primary")
    page.wait_for_selector("tr:has(a[href*='new=2']) .state-good", timeout=120_000)
    system.submit("/rollback/")
    page.wait_for_selector("tr:has(a[href*='new=1']) .state-good", timeout=120_000)
    system.keep("first-back")

    follow(page, "$='/delete/'")
    page.click("main form .btn-danger")
    expect(page.locator("#deployment-table")).not_to_contain_text(name, timeout=60_000)
    follow(page, "='/nodes/'")
    page.click(f"#node-table a:text-is('{empty_node.name}')")
    follow(page, "$='/drain/'")
    system.keep("node-drain")
    page.click("main form .btn-danger, main form .btn-primary")
    page.wait_for_selector("a[href$='/remove/']")
    follow(page, "$='/remove/'")
    system.keep("node-remove")
    page.click("main form .btn-danger")
    expect(page.locator("#node-table")).not_to_contain_text(empty_node.name, timeout=30_000)
    assert empty_node.ours() == set()
    if system.chinese:
        assert system.words_outside("System administrator") == []


def approve(security: Visitor, model: str) -> None:
    """The security office approves what was brought in, if its weights are not approved yet."""
    page = security.page
    follow(page, "='/models/'")
    security.keep("models")
    rows = page.locator("main table a", has_text=model)
    if rows.count() == 0:
        return
    rows.first.click()
    if page.locator("form[action$='/approve/']").count():
        for box in page.locator("form[action$='/approve/'] input[type=checkbox]").all():
            box.check()
        security.submit("/approve/")
