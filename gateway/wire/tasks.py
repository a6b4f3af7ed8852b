"""The wire of tasks: one text in, one judged answer out; and the contract that says so."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.directory import Endpoint, Route
from gateway.judging import Verdict
from gateway.wire.openai import ApiError, ChatRequest, invalid, json_object

PREFIX = "/v1/tasks/"
CONTRACT = "/openapi.json"
# No tokenizer makes fewer tokens of text: what is longer by this measure is not even tried.
MOST_LETTERS_A_TOKEN = 10
WORDS = {
    "input_too_long": (
        "The input does not fit into the context of {context} tokens together with the answer, so "
        "nothing of it was answered. Send it in parts."
    ),
    "output_empty": "The model answered nothing.",
    "output_cut": "The answer was cut off at its longest, so its fields are not complete.",
    "output_invalid": "The answer does not obey the schema: {why}.",
}


def parse_task(body: bytes, name: str) -> ChatRequest:
    """{"input": "…"} as the chat request that the node gets. Raises ApiError 400."""
    fields = json_object(body)
    given = fields.get("input")
    if not isinstance(given, str) or not given.strip():
        raise invalid("'input' must be a text that is not empty", "input")
    if unknown := sorted(set(fields) - {"input"}):
        raise invalid(f"there is no parameter {unknown[0][:100]!r} here", unknown[0][:100])
    message = {"role": "user", "content": given}
    return ChatRequest(name[:200], False, False, {"messages": [message]}, len(body))


def surely_too_long(request: ChatRequest, context: int) -> bool:
    """By a measure that errs on the side of trying."""
    letters = len("".join(request.fields["messages"][0]["content"].split()))
    return letters > context * MOST_LETTERS_A_TOKEN


def too_long(context: int) -> ApiError:
    return _failed("input_too_long", {"context": context}, context=context)


def answer(verdict: Verdict, endpoint: Endpoint, reply: dict[str, Any], name: str) -> bytes:
    """The body of a good answer. Raises ApiError 422 for one that is not to be used."""
    usage = reply.get("usage")
    if verdict.code:
        raise _refused(verdict, endpoint, usage)
    choice = (reply.get("choices") or [{}])[0]
    return orjson.dumps(
        {
            "object": "task",
            "model": name,
            "revision": endpoint.revision,
            "output": verdict.output,
            "valid": True,
            "finish_reason": choice.get("finish_reason"),
            "usage": usage,
        }
    )


def _refused(verdict: Verdict, endpoint: Endpoint, usage: object) -> ApiError:
    """With the raw text, for whoever wants to see it; as text, never as an answer."""
    first = verdict.problems[0] if verdict.problems else None
    why = f"{first.field}: {first.message}" if first and first.field else (first and first.message)
    return _failed(
        verdict.code,
        {"context": endpoint.context, "why": why or ""},
        raw=verdict.text,
        problems=[problem.shape() for problem in verdict.problems],
        revision=endpoint.revision,
        context=endpoint.context,
        usage=usage,
    )


def _failed(code: str, words: dict[str, Any], **more: Any) -> ApiError:
    # 422 and not 5xx: clients repeat those by themselves, and the same input fails the same way.
    param = "input" if code == "input_too_long" else None
    return ApiError(422, code, WORDS[code].format(**words), param=param, more=more)


def task_list(routes: list[Route]) -> bytes:
    """GET /v1/tasks: what the key reaches, each with where its contract is."""
    data = [
        {
            "id": route.name,
            "object": "task_deployment",
            "revision": newest(route).revision,
            "schema": newest(route).schema,
            "context": newest(route).context,
            "url": PREFIX + route.name,
            "openapi": PREFIX + route.name + CONTRACT,
        }
        for route in routes
    ]
    return orjson.dumps({"object": "list", "data": data})


def newest(route: Route) -> Endpoint:
    """The newest revision that serves: during a rollout an older one may answer, too."""
    return max(route.endpoints, key=lambda endpoint: endpoint.revision)
