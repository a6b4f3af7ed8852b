"""Files of one subject and functions that fit on a screen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.source import ROOMS, ROOT, Function, files, functions, name, tree

MAX_FILE = 400
MAX_FUNCTION = 40
OWN_TEXT = (".html", ".css", ".js")


def texts() -> list[Path]:
    found = [*files(*ROOMS, "tests"), ROOT / "manage.py"]
    for folder in ("templates", "static"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in OWN_TEXT and "vendor" not in path.parts:
                found.append(path)
    return found


def length(function: Function) -> int:
    """Lines of the body, without the docstring: a signature may take a line an argument."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_no_file_is_longer_than_its_subject() -> None:
    long = {name(p): n for p in texts() if (n := len(p.read_text().splitlines())) > MAX_FILE}
    assert long == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_function_is_longer_than_a_screen(room: str) -> None:
    long = {
        f"{name(path)}:{function.name}": length(function)
        for path in files(room)
        for function in functions(tree(path))
        if length(function) > MAX_FUNCTION
    }
    assert long == {}


def test_every_module_says_what_it_holds() -> None:
    silent = [
        name(path)
        for path in files(*ROOMS)
        if path.stat().st_size and ast.get_docstring(tree(path)) is None
    ]
    assert silent == []


def test_a_long_function_would_be_found() -> None:
    module = ast.parse("def long():\n" + "    pass\n" * 41)
    assert [length(f) for f in functions(module)] == [41]
