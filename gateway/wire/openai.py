"""OpenAI's chat format: what a request must have, the shape of an error, server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

MAX_EVENT_BYTES = 1024 * 1024
BLANK = b"\n\n"
NOT_FINISHED = b'"finish_reason":null'
DONE = b"data: [DONE]\n\n"


class ApiError(Exception):
    """An answer in OpenAI's error shape. `reason` is the code in our event, `code` the client's;
    `more` stands beside OpenAI's four."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        reason: str = "",
        param: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.reason = reason or code
        self.param = param
        self.more = more or {}

    def body(self) -> bytes:
        return orjson.dumps({"error": self.shape()})

    def shape(self) -> dict[str, Any]:
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error")
        if self.status >= 500:
            kind = "server_error"
        shown = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {**shown, **self.more}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request as far as the gateway reads it; everything else goes through untouched."""

    model: str
    stream: bool
    wants_usage: bool
    fields: dict[str, Any]
    size: int

    def for_node(
        self,
        tag: str,
        schema: dict[str, Any] | None = None,
        sampling: Mapping[str, float] | None = None,
    ) -> bytes:
        """The body for the node: its own tag, and usage asked for, because we must know it.

        A revision with a schema answers in its shape, whatever the request asks for. Its sampling
        is for requests that say nothing of their own.
        """
        given = {name: value for name, value in self.fields.items() if value is not None}
        fields = {**self.fields, **(sampling or {}), **given, "model": tag}
        if schema is not None:
            shape = {"name": "answer", "schema": schema}
            fields["response_format"] = {"type": "json_schema", "json_schema": shape}
        if self.stream:
            asked = fields.get("stream_options")
            options = asked if isinstance(asked, dict) else {}
            fields["stream_options"] = {**options, "include_usage": True}
        return orjson.dumps(fields)


def parse_chat(body: bytes) -> ChatRequest:
    """Read a body strictly. Raises ApiError 400 that names the parameter."""
    fields = json_object(body)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("you must provide a model parameter: the name of a deployment", "model")
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("'messages' must be a list with at least one message", "messages")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise invalid("each message must be an object with a role", "messages")
    stream = fields.get("stream", False)
    if stream is not None and not isinstance(stream, bool):
        raise invalid("'stream' must be true or false", "stream")
    options = fields.get("stream_options")
    wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    return ChatRequest(model[:200], bool(stream), wants_usage, fields, len(body))


def json_object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"the body is not valid JSON in UTF-8: {error}", None) from error
    if not isinstance(value, dict):
        raise invalid("the body must be a JSON object", None)
    return value


def invalid(message: str, param: str | None) -> ApiError:
    return ApiError(400, "invalid_request", message, param=param)


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Server-sent events of a byte stream, each with its blank line, whatever the chunks were:
    together those that have come together."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(BLANK)
        if whole:
            yield [event + BLANK for event in whole]
        if len(rest) > MAX_EVENT_BYTES:
            raise ValueError("an event of the node is too long")
    if rest.strip():
        yield [rest + BLANK]


def payload(event: bytes) -> dict[str, Any]:
    """The JSON of one event, or an empty one."""
    if not event.startswith(b"data:"):
        return {}
    try:
        value = orjson.loads(event[5:].strip())
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def model_field(name: str) -> bytes:
    """How an answer names its model: the node's tag there is replaced by the deployment's name."""
    return f'"model":"{name}"'.encode()


def model_list(names: list[tuple[str, int]]) -> bytes:
    """GET /v1/models: names with the second in which they went live."""
    data = [
        {"id": name, "object": "model", "created": created, "owned_by": "fusebox"}
        for name, created in names
    ]
    return orjson.dumps({"object": "list", "data": data})
