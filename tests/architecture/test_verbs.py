"""Every verb asks "may I?" and records what it did, and takes its actor by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, Function, calls, files, name, tree

# What stands in a verbs' module without being one, or asks and records in another way; and why.
EXCEPTIONS: dict[str, str] = {
    "access/actions/grants.py:deployment_obj": "shows a row as the log's object; changes nothing",
    "access/actions/people.py:one_time_password": "draws a password; changes nothing",
    "access/actions/keys.py:hash_secret": "a pure function of a secret",
    "access/actions/people.py:forget_user": "a part of user.erase, inside its transaction",
    "audit/office/actions/retention.py:register": "says how acts are applied; changes nothing",
    "deployments/actions/uploads.py:append": "thousands of chunks; begin and finish are recorded",
    "deployments/actions/operations.py:enqueue": "a part of other verbs, inside their transaction",
}


def modules() -> Iterator[Path]:
    for path in files("access", "deployments", "audit", "gateway"):
        if (
            path.parent.name == "actions" and path.name != "__init__.py"
        ) or path.name == "actions.py":
            yield path


def verbs() -> Iterator[tuple[str, ast.Module, Function]]:
    for path in modules():
        module = tree(path)
        for node in module.body:
            if isinstance(node, Function) and not node.name.startswith("_"):
                yield f"{name(path)}:{node.name}", module, node


def problems(module: ast.Module, verb: Function) -> list[str]:
    found = []
    if verb.args.args or verb.args.posonlyargs:
        found.append("takes arguments by position")
    if "actor" not in [a.arg for a in verb.args.kwonlyargs]:
        found.append("has no actor")
    reached = set(_reached(module, verb))
    if not reached & {"policy.require", "policy.get_for"}:
        found.append("does not ask policy.require")
    # access.request: asking a second person, which records that somebody asked.
    if not reached & {"log.record", "log.record_alone", "access.request"}:
        found.append("records nothing")
    return found


def _reached(module: ast.Module, start: Function) -> Iterator[str]:
    """What a verb calls, directly or through functions of its own module."""
    local = {n.name: n for n in module.body if isinstance(n, Function)}
    seen, waiting = {start.name}, [start]
    while waiting:
        for called in calls(waiting.pop()):
            yield called
            if called in local and called not in seen:
                seen.add(called)
                waiting.append(local[called])


def test_there_are_verbs_to_look_at() -> None:
    assert len(list(verbs())) > 15


@pytest.mark.parametrize(
    ("module", "verb"), [pytest.param(m, v, id=i) for i, m, v in verbs() if i not in EXCEPTIONS]
)
def test_a_verb_asks_and_records(module: ast.Module, verb: Function) -> None:
    assert problems(module, verb) == []


def test_every_exception_still_exists_and_needs_to_be_one() -> None:
    known = {i: (m, v) for i, m, v in verbs()}
    for identifier in EXCEPTIONS:
        assert identifier in known, f"{identifier} is gone: take it off the list"
        assert problems(*known[identifier]), f"{identifier} has become a verb: take it off the list"


def test_a_silent_verb_would_be_found() -> None:
    module = ast.parse("def delete(deployment, *, actor):\n    deployment.delete()\n")
    verb = module.body[0]
    assert isinstance(verb, Function)
    assert problems(module, verb) == [
        "takes arguments by position",
        "does not ask policy.require",
        "records nothing",
    ]


def test_verbs_never_see_a_request() -> None:
    for path in modules():
        text = path.read_text()
        assert "django.http" not in text and "rest_framework" not in text, name(path)


def test_the_modules_of_verbs_are_where_the_house_says() -> None:
    rooms = {path.relative_to(ROOT).parts[0] for path in modules()}
    assert {"access", "deployments"} <= rooms
