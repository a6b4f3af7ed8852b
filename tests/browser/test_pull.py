"""A pull watched in a real browser, with the real worker: cancelled half way and taken up again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from console.embedded.installation import Installation
from deployments import ollama
from tests import registry
from tests.browser.conftest import Visitor
from tests.deployments.test_lifecycle import gemma_file
from tests.nodes import second_node

pytestmark = pytest.mark.browser

Visit = Callable[..., Visitor]


@pytest.fixture(scope="session")
def library(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[registry.Proxy]:
    """A registry that holds Gemma once a language, each a little other, pushed by a node."""
    folder = Path(tmp_path_factory.mktemp("library"))
    with registry.running(folder) as proxy, second_node(installation, folder / "models") as url:
        api = ollama.Node(url)
        for language in ("en", "zh"):
            path = gemma_file(folder)
            with path.open("ab") as file:
                file.write(language.encode() * 16)  # another blob for each language
            digest = api.upload(path, lambda _done, _total: None)
            name = f"{proxy.name}/library/gemma-{language}:270m"
            list(api.create(name, files={path.name: digest}))
            list(api.push(name, insecure=True))
        yield proxy


def test_a_pull_is_watched_cancelled_and_taken_up_again(
    visit: Visit, language: str, library: registry.Proxy
) -> None:
    system = visit("system")
    page = system.page
    library.calm()
    library.rate = 20_000_000
    system.open("/models/pull/")
    page.select_option("#id_node", index=1)
    page.fill("#id_name", f"{library.name}/library/gemma-{language[:2].lower()}:270m")
    page.check("#id_insecure")
    page.click("main form button.btn-primary")
    page.wait_for_url("**/operations/*/")
    expect(page.locator("#operation-card")).to_contain_text(re.compile(r"MB.*MB.*MB"))
    system.keep("pull-running")
    system.submit("/cancel/")
    expect(page.locator("#operation-card h2")).to_contain_text(
        "停止中" if system.chinese else "Stopping"
    )
    page.wait_for_selector("#operation-card h2 .state-warn", timeout=60_000)
    assert ("并保留已有内容" if system.chinese else "The node stopped at") in system.text()
    assert page.locator(".steps-list li").last.get_attribute("class") == "done"
    system.keep("pull-cancelled")
    if system.chinese:
        assert system.words_outside(r"Fusebox|Ollama|gemma|library") == []

    sent = library.sent
    library.rate = 0
    system.submit("/retry/")
    page.click("#operation-table a >> nth=0")
    page.wait_for_selector("#operation-card h2 .state-good", timeout=60_000)
    assert library.sent - sent < 240_000_000
    system.keep("pull-done")
