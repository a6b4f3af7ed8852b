"""The locks pin everything with hashes, agree with one another and name no registry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)
ADDRESS = re.compile(r"https?://|--(?:extra-)?index-url|--find-links|--trusted-host|^-[if]\s", re.M)


def pins(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package, version in PIN.findall(text):
        found.setdefault(package, set()).add(version)
    return found


def blocks(text: str) -> list[str]:
    """A block for each pinned package: its line and what is continued from it."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.name)
def test_every_package_is_pinned_with_hashes(lock: Path) -> None:
    for line in blocks(lock.read_text()):
        assert PIN.match(line), line[:80]
        assert "--hash=sha256:" in line, line[:80]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.name)
def test_no_lock_names_a_registry(lock: Path) -> None:
    assert ADDRESS.search(lock.read_text()) is None


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.name)
def test_every_asked_for_package_is_locked(lock: Path) -> None:
    wanted = lock.with_suffix(".in").read_text()
    names = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", wanted, re.MULTILINE)
    known = {n.replace("_", "-") for n in pins(lock.read_text())}
    assert {n.lower().replace("_", "-") for n in names} <= known


def test_tests_run_on_the_versions_that_serve() -> None:
    base = pins((ROOT / "requirements/base.txt").read_text())
    dev = pins((ROOT / "requirements/dev.txt").read_text())
    assert {n: v for n, v in base.items() if dev.get(n) != v} == {}


def test_make_lock_compiles_with_the_options_in_the_headers() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for lock in LOCKS:
        header = lock.read_text().splitlines()[1]
        for option in re.findall(r"--[a-z-]+", header):
            assert option in makefile, f"{lock.name}: {option}"


def test_a_registry_would_be_found() -> None:
    assert ADDRESS.search("--index-url https://registry.example/simple\nx==1")
