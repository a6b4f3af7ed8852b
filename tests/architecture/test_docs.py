"""What can be set is written down, and what is written down can be set."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.source import ROOMS, ROOT, files, tree

READERS = {"env.str", "env.int", "env.bool", "env.list", "env.float", "secret"}
# Read by console/database.py's callers under names that are values there, not literals here.
ALSO = {
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "DATABASE_SEALER_URL",
    "DATABASE_ADMIN_URL",
    "FUSEBOX_HOST",
    "FUSEBOX_OLLAMA_URL",
}
VARIABLE = re.compile(r"\b(?:FUSEBOX_[A-Z_]+|DATABASE_[A-Z_]*URL|REDIS_URL)\b")


def read_in(source: str) -> set[str]:
    """The names of the variables that the source reads."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in READERS and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return found


def settable() -> set[str]:
    sources = [ROOT / "console/settings.py", ROOT / "console/env.py"]
    sources += files("console/management")
    return ALSO | {name for path in sources for name in read_in(path.read_text())}


def compose() -> set[str]:
    text = (ROOT / "docker-compose.yml").read_text()
    return set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text))


def documented(path: str) -> set[str]:
    return {name.removesuffix("_FILE") for name in VARIABLE.findall((ROOT / path).read_text())}


@pytest.mark.parametrize("page", [".env.example", "docs/configuration.md"])
def test_every_variable_is_documented(page: str) -> None:
    assert (settable() | compose()) - documented(page) == set()


@pytest.mark.parametrize("page", [".env.example", "docs/configuration.md"])
def test_no_documented_variable_has_gone(page: str) -> None:
    gone = documented(page) - settable() - compose() - {"FUSEBOX_TLS", "DATABASE_URL"}
    assert gone == set()


def test_an_undocumented_variable_would_be_found() -> None:
    assert read_in('X = env.int(\n    "FUSEBOX_NEW", 1)\ny = secret("A_KEY", "")') == {
        "FUSEBOX_NEW",
        "A_KEY",
    }


def test_other_files_read_the_environment_through_settings_only() -> None:
    outside = []
    for path in files(*ROOMS):
        place = str(path.relative_to(ROOT))
        if place.startswith("console/embedded/") or place == "console/env.py":
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "os.environ":
                outside.append(f"{place}:{node.lineno}")
    setdefaults = [o for o in outside if o.split(":")[0].endswith(("asgi.py", "celery.py"))]
    assert sorted(outside) == sorted(setdefaults)


@pytest.mark.parametrize("room", [*ROOMS])
def test_every_room_has_its_readme(room: str) -> None:
    text = (ROOT / room / "README.md").read_text()
    assert 5 <= len(text.splitlines()) <= 80


def test_every_link_in_the_documents_leads_somewhere() -> None:
    broken = []
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    pages += [page for room in ROOMS for page in (ROOT / room).rglob("README.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" in target or target.startswith("mailto:"):
                continue
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []
