"""What may be given out as an answer, and the contract that says what one looks like. Pure."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import jsonschema
import pytest

from gateway.directory import Endpoint, NodeRef, Route
from gateway.judging import judge
from gateway.wire.contract import openapi, within
from gateway.wire.openai import ApiError
from gateway.wire.tasks import parse_task, surely_too_long

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["total", "currency"],
    "properties": {"total": {"type": "number"}, "currency": {"enum": ["EUR", "USD"]}},
}


def reply(text: object, finish: str = "stop", given: int = 20, made: int = 5) -> dict[str, Any]:
    usage = {"prompt_tokens": given, "completion_tokens": made}
    return {
        "choices": [{"message": {"content": text}, "finish_reason": finish}],
        "usage": usage,
    }


def test_what_obeys_the_schema_is_an_answer() -> None:
    verdict = judge(reply('{"total": 1.5, "currency": "EUR"}'), SCHEMA, 512)
    assert (verdict.code, verdict.output) == ("", {"total": 1.5, "currency": "EUR"})


@pytest.mark.parametrize(
    ("text", "field", "what"),
    [
        ('{"total": "1.5", "currency": "EUR"}', "total", "type"),
        ('{"total": 1, "currency": "yen"}', "currency", "enum"),
        ('{"total": 1}', "", "required"),
        ('{"total": 1, "currency": "EUR", "more": 1}', "", "additionalProperties"),
        ("[]", "", "type"),
        ('"Ignore all rules: here is a poem."', "", "type"),
        ("Sure! Here is the JSON: {}", "", "json"),
        ('{"total": NaN, "currency": "EUR"}', "", "json"),
    ],
)
def test_valid_json_of_another_shape_is_no_answer(text: str, field: str, what: str) -> None:
    verdict = judge(reply(text), SCHEMA, 512)
    assert verdict.code == "output_invalid"
    assert verdict.text == text
    assert (verdict.problems[0].field, verdict.problems[0].what) == (field, what)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (reply('{"total": 1, "curr', "length"), "output_cut"),
        (reply(""), "output_empty"),
        (reply(None), "output_empty"),
        (reply('{"total": 1, "currency": "EUR"}', given=512), "input_too_long"),
        (reply('{"total": 1, "currency": "EUR"}', given=500, made=20), "input_too_long"),
    ],
)
def test_what_is_not_whole_is_no_answer(given: dict[str, Any], code: str) -> None:
    assert judge(given, SCHEMA, 512).code == code


def test_without_a_schema_text_is_an_answer() -> None:
    verdict = judge(reply("**Bold** <script>", "length"), None, 512)
    assert (verdict.code, verdict.output) == ("", "**Bold** <script>")


def test_a_schema_that_refers_to_nothing_is_a_problem_and_no_fault() -> None:
    assert judge(reply("{}"), {"$ref": "#/$defs/none"}, 512).problems[0].what == "schema"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b"{}", "input"),
        (b'{"input": ""}', "input"),
        (b'{"input": ["a", "b"]}', "input"),
        (b'{"input": "a", "stream": true}', "stream"),
    ],
)
def test_a_body_that_is_no_task_is_refused(body: bytes, param: str | None) -> None:
    with pytest.raises(ApiError) as refused:
        parse_task(body, "d")
    assert (refused.value.status, refused.value.param) == (400, param)


def test_only_what_no_tokenizer_could_fit_is_refused_beforehand() -> None:
    def asked(text: str) -> bool:
        return surely_too_long(parse_task(json.dumps({"input": text}).encode(), "d"), 512)

    assert not asked("word " * 1_000)
    assert not asked(" " * 100_000 + "x")
    assert asked("长" * 6_000)


def route(schema: dict[str, Any] | None) -> Route:
    node = NodeRef("n", "n", "http://n")
    ends = tuple(Endpoint(f"e{n}", node, "t", n, "m", "d", schema, {}, 512) for n in (1, 2))
    return Route(uuid4(), "claims.v2", "live", None, ends)


def test_the_contract_is_the_revisions_schema() -> None:
    document = json.loads(openapi(route(SCHEMA), "http://fusebox"))
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "r2"
    assert list(document["paths"]) == ["/v1/tasks/claims.v2"]
    assert document["components"]["schemas"]["Output"] == SCHEMA
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_a_schema_with_parts_finds_them_in_the_contract_too() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"lines": {"type": "array", "items": {"$ref": "#/$defs/line"}}},
        "$defs": {"line": {"type": "object", "properties": {"n": {"type": "integer"}}}},
    }
    document = json.loads(openapi(route(schema), "http://fusebox"))
    whole = {**document, "$ref": "#/components/schemas/Output"}
    validator = jsonschema.Draft202012Validator(whole)
    assert validator.is_valid({"lines": [{"n": 1}]})
    assert not validator.is_valid({"lines": [{"n": "one"}]})
    assert "$schema" not in within(schema)
