"""Our source as the architecture tests see it: files, trees, functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("console", "gateway", "deployments", "audit", "access")
# For readers without our tools, as one file that runs on Python 3.9.
ALONE = [ROOT / "audit" / "office" / "verifier" / f"{name}.py" for name in ("verify", "witness")]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(*folders: str, migrations: bool = False) -> Iterator[Path]:
    """Python files of ours below the folders, in order."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path not in ALONE and (migrations or "migrations" not in path.parts):
                yield path


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(module: ast.AST) -> Iterator[Function]:
    for node in ast.walk(module):
        if isinstance(node, Function):
            yield node


def calls(node: ast.AST) -> Iterator[str]:
    """The dotted names of what is called: `policy.require`, `enqueue`, `x.objects.create`."""
    for child in ast.walk(node):
        if isinstance(child, ast.Call):
            yield ast.unparse(child.func)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))
