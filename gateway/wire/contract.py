"""The OpenAPI document of one deployment's task, made of the revision that serves."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.directory import Route
from gateway.wire.tasks import PREFIX, newest

OUTPUT = "#/components/schemas/Output"
ERRORS = {
    "400": "No JSON in UTF-8, or no text in `input`.",
    "401": "No key, or one that does not serve.",
    "404": "No such deployment, or it is not granted to this key's owner.",
    "413": "The request is too large.",
    "422": (
        "`input_too_long`: send it in parts. `output_invalid`, `output_cut`, `output_empty`: the "
        "model's answer is not to be used; `error.raw` has it as text, `error.problems` what is "
        "wrong with it. The same input fails the same way."
    ),
    "502": "The node's own reason, or it broke off.",
    "503": "Not in service, too much at once, or the audit log cannot be written.",
}


def openapi(route: Route, server: str) -> bytes:
    """OpenAPI 3.1, whose schemas are JSON Schema: the revision's own stands in it as it is."""
    endpoint = newest(route)
    path = PREFIX + route.name
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": route.name,
            "version": f"r{endpoint.revision}",
            "description": "One text in, one answer out. A revision with a schema answers in its "
            f"shape or not at all. Input and answer share {endpoint.context} tokens.",
        },
        "servers": [{"url": server}],
        "security": [{"key": []}],
        "paths": {path: {"post": _operation(route.name)}},
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Input": _object({"input": {"type": "string", "minLength": 1}}, "input"),
                "Output": within(endpoint.schema) if endpoint.schema else {"type": "string"},
                "Answer": _answer(),
                "Error": _error(),
            },
        },
    }
    return orjson.dumps(document)


def _operation(name: str) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": _content("A valid answer.", "Answer")}
    answers |= {status: _content(words, "Error") for status, words in ERRORS.items()}
    body = {"required": True, "content": _json("Input")}
    # Letters, digits and underscores: generators make a function's name of it.
    operation = "run_" + "".join(letter if letter.isalnum() else "_" for letter in name)
    return {"operationId": operation, "requestBody": body, "responses": answers}


def _content(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": _json(schema)}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _answer() -> dict[str, Any]:
    properties = {
        "object": {"const": "task"},
        "model": {"type": "string"},
        "revision": {"type": "integer"},
        "output": {"$ref": OUTPUT},
        "valid": {"const": True},
        "finish_reason": {"type": ["string", "null"]},
        "usage": {"type": ["object", "null"]},
    }
    return _object(properties, *properties)


def _error() -> dict[str, Any]:
    text = {"type": ["string", "null"]}
    problem = _object(
        {name: {"type": "string"} for name in ("field", "what", "expected", "message")}
    )
    error = {
        "type": "object",
        "required": ["message", "type", "code"],
        "properties": {
            **dict.fromkeys(("message", "type", "param", "code", "raw"), text),
            "problems": {"type": "array", "items": problem},
        },
    }
    return _object({"error": error}, "error")


def within(schema: Any) -> Any:
    """The schema as a part of a larger document: what refers to its own parts still finds them."""
    if isinstance(schema, list):
        return [within(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        name: within(value) for name, value in schema.items() if name not in ("$schema", "$id")
    }
    for name in ("$ref", "$dynamicRef"):
        if isinstance(found.get(name), str):
            found[name] = OUTPUT + found[name][1:]
    return found
