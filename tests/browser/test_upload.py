"""Uploading a model in a real browser: chunk by chunk, paused and gone on with."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests import model_files
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

Visit = Callable[..., Visitor]


def test_a_model_is_uploaded_with_a_break_and_lands_in_the_catalogue(
    visit: Visit, language: str
) -> None:
    system = visit("system", width=390)
    page, name = system.page, f"upload-{language[:2].lower()}:1"
    system.open("/models/upload/")
    page.select_option("#id_node", index=1)
    page.fill("#id_name", name)
    page.set_input_files("#id_model_files", str(model_files.smollm2()))
    page.click("#upload button.btn-primary")
    expect(page.locator("#upload-figures")).to_contain_text(re.compile(r"[1-9]\d* %"))
    page.click("#upload-pause")
    expect(page.locator("#upload button.btn-primary")).to_be_enabled()
    system.keep("upload-paused")
    system.open("/models/upload/")
    assert "smollm" in system.text().lower()
    system.keep("upload-unfinished")
    page.select_option("#id_node", index=1)
    page.fill("#id_name", name)
    page.set_input_files("#id_model_files", str(model_files.smollm2()))
    page.click("#upload button.btn-primary")
    page.wait_for_url("**/operations/*/")
    page.wait_for_selector("#operation-card .state-good", timeout=60_000)
    system.keep("upload-imported")
    system.open("/models/upload/")
    assert page.locator("#upload ~ section").count() == 0
    system.open("/models/")
    system.keep("models")
    system.open("/models/upload/")
    page.select_option("#id_node", index=1)
    page.fill("#id_name", name)
    page.set_input_files("#id_model_files", str(model_files.smollm2()))
    page.click("#upload button.btn-primary")
    expect(page.locator("#upload-problem")).to_be_visible()
    if system.chinese:
        allowed = r"Fusebox|Ollama|GGUF|LoRA|safetensors|JSON"
        assert system.words_outside(allowed) == []
