"""Values against a schema: as the library says it, and patterns come to an end."""

from __future__ import annotations

import time
from typing import Any

import jsonschema
import pytest

from deployments import schemas
from gateway.judging import judge

# A text on which this tries every way of cutting it up.
SLOW = r"^(\w|\w\w|\w+x)+$"
TEXT = "a" * 60 + "!"


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("abc", {"pattern": "^a"}),
        ("abc", {"pattern": "^b"}),
        (7, {"pattern": "^b"}),
        ({"a1": 1, "b": 2}, {"patternProperties": {"^a": {"type": "string"}}}),
        ({"a1": "x", "b": 2}, {"patternProperties": {"^a": {}}, "additionalProperties": False}),
        ({"a1": "x"}, {"patternProperties": {"^a": {}}, "additionalProperties": False}),
        ({"b": 2}, {"patternProperties": {"^a": {}}, "additionalProperties": {"type": "string"}}),
        ({"b": 2}, {"properties": {"b": {}}, "additionalProperties": False}),
        ([1], {"patternProperties": {"^a": {}}, "additionalProperties": False}),
    ],
)
def test_it_judges_as_the_library_does(value: Any, schema: dict[str, Any]) -> None:
    kind = jsonschema.validators.validator_for(schema)
    wanted = [(list(e.path), e.validator) for e in kind(schema).iter_errors(value)]
    assert [(list(e.path), e.validator) for e in schemas.errors(value, schema)] == wanted


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ({"word": TEXT}, {"properties": {"word": {"pattern": SLOW}}}),
        ({TEXT: 1}, {"patternProperties": {SLOW: {}}, "additionalProperties": False}),
        ({"word": "x"}, {"properties": {"word": {"pattern": "("}}}),
    ],
)
def test_a_pattern_that_never_ends_is_a_problem_and_no_standstill(
    value: Any, schema: dict[str, Any]
) -> None:
    begun = time.process_time()
    assert list(schemas.errors(value, schema))
    # The library itself would need years; the bound is generous for a busy machine.
    assert time.process_time() - begun < 10


def test_the_gateway_says_what_is_wrong() -> None:
    choice = {"message": {"content": f'{{"word": "{TEXT}"}}'}, "finish_reason": "stop"}
    reply = {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 5}}
    verdict = judge(reply, {"properties": {"word": {"pattern": SLOW}}}, 512)
    assert (verdict.code, verdict.problems[0].what) == ("output_invalid", "pattern")
    assert "too long" in verdict.problems[0].message
