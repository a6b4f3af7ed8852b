"""Views, API and tasks write nothing themselves: they call verbs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, calls, files, name, tree

WRITES = {
    "create",
    "acreate",
    "get_or_create",
    "update_or_create",
    "bulk_create",
    "bulk_update",
    "delete",
    "adelete",
    "update",
    "aupdate",
    "save",
    "asave",
    "raw",
    "executemany",
    "set_password",
}
# `actions.update(...)`, `self.fields.update(...)`: the word on something that is no row.
HARMLESS = re.compile(
    r"^(?:actions|access|deploy|verbs|headers|context|parameters|messages|hashlib|self\.fields)\b"
)
# A write that is no change of ours: Django's own session of the person who signs in or out.
EXCEPTIONS: dict[str, str] = {}


def faces() -> list[Path]:
    return [*files("console/views", "console/api"), ROOT / "deployments" / "tasks.py"]


def writes(module: ast.AST) -> list[str]:
    found = []
    for called in calls(module):
        owner, _dot, last = called.rpartition(".")
        if (last in WRITES and owner and not HARMLESS.match(owner)) or (
            last in {"cursor", "execute"} and "connection" in owner
        ):
            found.append(called)
    return found


@pytest.mark.parametrize("path", faces(), ids=name)
def test_a_face_writes_nothing_itself(path: Path) -> None:
    assert [w for w in writes(tree(path)) if f"{name(path)}:{w}" not in EXCEPTIONS] == []


@pytest.mark.parametrize(
    "line",
    ["Key.objects.filter(pk=1).delete()", "user.save()", "Node.objects.create(name='x')"],
)
def test_a_planted_write_would_be_found(line: str) -> None:
    assert writes(ast.parse(line)) != []


def test_events_are_inserted_in_the_ledger_only() -> None:
    pattern = re.compile(r"INSERT\s+INTO\s+ledger_|EventRow|ledger\.models import .*\bEvent\b")
    for path in files("console", "gateway", "deployments", "access"):
        text = path.read_text()
        assert not re.search(r"INSERT\s+INTO\s+ledger_", text), name(path)
    assert pattern.search((ROOT / "audit/ledger/log.py").read_text())
