"""Whether an answer to a sample is right. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jsonschema
import orjson

from deployments import schemas
from deployments.scenarios import Sample

Problem = dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """Durations in milliseconds, without the time in which the model was loaded. `cut`: longer
    than allowed; `left_out`: the prompt did not fit into the context, and a part was not read."""

    text: str
    cut: bool = False
    left_out: bool = False
    first_ms: int = 0
    total_ms: int = 0
    load_ms: int = 0
    rate: float = 0
    tokens: int = 0


def judge(schema: dict[str, Any] | None, sample: Sample, answer: Answer) -> list[Problem]:
    """What is wrong: {"what": empty, left_out, cut, schema, field or word, "detail"}."""
    if not answer.text.strip():
        return [_problem("empty")]
    problems = [_problem("left_out")] if answer.left_out else []
    problems += [_problem("cut")] if answer.cut else []
    if schema is not None:
        problems += _fields(schema, sample, answer.text)
    return problems + [_problem("word", w) for w in sample.words if w not in answer.text]


def _fields(schema: dict[str, Any], sample: Sample, text: str) -> list[Problem]:
    try:
        found = orjson.loads(text)
        schemas.check(found, schema)
    except orjson.JSONDecodeError:
        return [_problem("schema", "no JSON")]
    except (jsonschema.ValidationError, RecursionError) as error:
        return [_problem("schema", str(getattr(error, "message", error))[:200])]
    answer = found if isinstance(found, dict) else {}
    return [
        _problem("field", f"{name}: {_short(answer.get(name))} ≠ {_short(value)}")
        for name, value in sample.fields.items()
        if answer.get(name) != value
    ]


def _problem(what: str, detail: str = "") -> Problem:
    return {"what": what, "detail": detail}


def _short(value: object) -> str:
    return orjson.dumps(value).decode()[:80]
