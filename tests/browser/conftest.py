"""A real Chromium, and somebody signed in with it.

Screens are kept when FUSEBOX_SCREENSHOTS names a folder.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.console_process import Console

LANGUAGES = ("en-US", "zh-CN")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    assert program, "Chromium is not installed; `make test` says how to get it"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield running
        running.close()


class Visitor:
    """One person at one browser. Errors of the page's own scripts fail the journey."""

    def __init__(self, console: Console, page: Page, role: str, language: str) -> None:
        self.console, self.page, self.role, self.language = console, page, role, language
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        account = console.first_run["accounts"][role]
        self.open("/sign-in/")
        page.fill("#id_username", account["username"])
        page.fill("#id_password", account["password"])
        page.click("form[action='/sign-in/'] button")
        page.wait_for_selector(".shell")

    @property
    def chinese(self) -> bool:
        return self.language.startswith("zh")

    def open(self, path: str) -> int:
        answer = self.page.goto(self.console.url + path)
        assert answer is not None
        return answer.status

    def submit(self, action: str) -> None:
        """Press the button of the form that posts to a URL ending in `action`."""
        self.page.click(f"form[action$='{action}'] button")

    def text(self) -> str:
        return self.page.inner_text("main")

    def keep(self, name: str) -> None:
        if folder := os.environ.get("FUSEBOX_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{self.language}-{self.role}-{name}.png")

    def keep_all(self, name: str) -> None:
        """Wide and narrow, light and dark; at no width does the page scroll sideways."""
        before = self.page.viewport_size or {"width": 1440, "height": 900}
        schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for width, scheme in product((1440, 390), schemes):
            self.page.set_viewport_size({"width": width, "height": 900})
            self.page.emulate_media(color_scheme=scheme)
            beyond = self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert beyond <= 0, f"{name} is {beyond} pixels too wide at {width}"
            if folder := os.environ.get("FUSEBOX_SCREENSHOTS"):
                Path(folder).mkdir(parents=True, exist_ok=True)
                path = Path(folder) / f"{self.language}-{self.role}-{name}-{width}-{scheme}.png"
                self.page.screenshot(path=path, full_page=True)
        self.page.set_viewport_size(before)
        self.page.emulate_media(color_scheme="light")

    def words_outside(self, allowed: str) -> list[str]:
        """Runs of Latin letters on the page that are neither names nor `allowed`.

        What is marked as English is left out: what Ollama said stays as it was said.
        """
        shown = self.page.inner_text("body")
        for marked in self.page.locator("[lang=en]").all_inner_texts():
            shown = shown.replace(marked, "")
        return [
            w
            for w in re.findall(r"[A-Za-z][a-z]{3,}(?: [a-z]{2,}){2,}", shown)
            if not re.search(allowed, w)
        ]


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def visit(console: Console, browser: Browser, language: str) -> Iterator[Callable[[str], Visitor]]:
    """Sign somebody in; ends idle, so that nothing polls into the next journey."""
    contexts, visitors = [], []

    def make(role: str, width: int = 1440) -> Visitor:
        context = browser.new_context(
            locale=language, viewport={"width": width, "height": 900}, accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        visitors.append(Visitor(console, page, role, language))
        return visitors[-1]

    yield make
    for context in contexts:
        context.close()
    assert [p for v in visitors for p in v.problems] == []
