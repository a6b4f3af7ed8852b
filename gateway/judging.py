"""Whether an answer is what its revision promises: JSON that obeys the schema, whole, and of the
whole input. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from referencing.exceptions import Unresolvable

from deployments import schemas

MAX_PROBLEMS = 20
MAX_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field (empty: with all of it). `what` is the schema's own keyword."""

    field: str
    what: str
    expected: str
    message: str

    def shape(self) -> dict[str, str]:
        return {
            "field": self.field,
            "what": self.what,
            "expected": self.expected,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """`code` is empty for an answer that may be given out, else it says why not."""

    code: str = ""
    output: Any = None
    text: str = ""
    problems: tuple[Problem, ...] = field(default_factory=tuple)


def judge(reply: dict[str, Any], schema: dict[str, Any] | None, context: int) -> Verdict:
    """Judge a node's reply of one choice. An answer without a schema is text and needs only be
    there; one to a text that did not fit is none, however good it looks."""
    choice = (reply.get("choices") or [{}])[0]
    text = choice.get("message", {}).get("content") or ""
    if is_truncated(reply.get("usage"), context):
        return Verdict("input_too_long", text=text)
    if not text.strip():
        return Verdict("output_empty", text=text)
    if schema is None:
        return Verdict(output=text, text=text)
    if choice.get("finish_reason") == "length":
        return Verdict("output_cut", text=text)
    try:
        output = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        wrong = Problem("", "json", "JSON", f"it is no JSON: {error}"[:MAX_DETAIL])
        return Verdict("output_invalid", text=text, problems=(wrong,))
    problems = tuple(_problems(output, schema))
    return Verdict("output_invalid" if problems else "", output, text, problems)


def is_truncated(usage: object, context: int) -> bool:
    """Whether the node threw away a part of the input, which it does without a word: it then
    reports a full context. Nor is an answer trusted that pushed its own question out."""
    if not isinstance(usage, dict):
        return False
    given, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(given, int) or not isinstance(made, int):
        return False
    return given >= context - 1 or given + made > context


def _problems(output: Any, schema: dict[str, Any]) -> Iterable[Problem]:
    try:
        errors = sorted(schemas.errors(output, schema), key=lambda e: list(map(str, e.path)))
    except (Unresolvable, RecursionError) as error:
        yield Problem("", "schema", "", f"the schema cannot be used: {error}"[:MAX_DETAIL])
        return
    for found in errors[:MAX_PROBLEMS]:
        yield Problem(
            ".".join(map(str, found.path)),
            str(found.validator),
            _short(found.validator_value),
            str(found.message)[:MAX_DETAIL],
        )


def _short(value: object) -> str:
    """What the schema asks for, in a few characters: "number", "EUR, USD, GBP", "40"."""
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)[:MAX_DETAIL]
    return str(value)[:MAX_DETAIL] if isinstance(value, str | int | float | bool) else ""
