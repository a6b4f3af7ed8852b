"""One request from admission to its end, whoever asks: an application with a key, or a page.

key -> grant -> `admitted` durable -> node -> bytes through -> `completed` durable -> last chunk.
No event, no answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import aiohttp
import orjson

from access.policy import role_allows
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.event import Draft, Obj
from audit.ledger.log import LogUnavailable
from gateway.call import Call, Judge
from gateway.capture import Rule
from gateway.directory import Route
from gateway.runtime import MAX_IN_FLIGHT, Runtime
from gateway.wire.openai import (
    DONE,
    NOT_FINISHED,
    ApiError,
    ChatRequest,
    events,
    model_field,
    payload,
)

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_HELD = 100
LAST = DONE.strip()
# The last three: a reply of another shape than OpenAI's.
UPSTREAM_ERRORS = (
    aiohttp.ClientError, TimeoutError, OSError, ValueError, AttributeError, TypeError, LookupError,
)  # fmt: skip


class Chunks:
    """A streamed answer. Whoever takes it closes it, read or not: an admitted request must end."""

    def __init__(self, call: Call, response: aiohttp.ClientResponse) -> None:
        self._call, self._response = call, response
        self._stream = _stream(call, response)
        self._begun = False

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        self._begun = True
        return await anext(self._stream)

    async def aclose(self) -> None:
        if self._begun:
            await self._stream.aclose()
            return
        # A generator that was never begun would run none of its ending.
        self._begun = True
        self._call.abort("aborted", "client_closed")
        self._response.close()
        self._call.leave()


@dataclass(slots=True)
class Answer:
    """What goes to the client: a whole JSON body, or chunks of server-sent events. `kept`: what the
    deployment's capture policy says is kept of it."""

    content_type: str
    body: bytes = b""
    chunks: Chunks | None = None
    kept: str = ""


async def chat(
    runtime: Runtime,
    actor: Actor,
    request: ChatRequest,
    *,
    via: str = "key",
    judge: Judge | None = None,
) -> Answer:
    """Admit and answer. Raises ApiError, whose event is already durable.

    via: "key", "chat" or "task" (pages, by grant) or "playground" (a page, by role). `judge` looks
    at an answer that is not streamed before its end is stored.
    """
    route = await _admissible(runtime, actor, request, via)
    endpoint = runtime.pick(route)
    if endpoint is None:
        raise await refuse(runtime, actor, _not_in_service(route), route=route)
    call = Call(runtime, actor, route, endpoint, request, via, judge)
    call.enter(endpoint)
    admitted = False
    try:
        await runtime.log.write(call.draft(Act.INFERENCE_ADMITTED))
        admitted = True
    except LogUnavailable as error:
        call.abort("error", "the log could not be written")
        raise unavailable() from error
    except asyncio.CancelledError:
        call.abort("aborted", "client_closed")
        raise
    finally:
        if not admitted:
            call.leave()
    rule = runtime.directory.now.capture.get(route.deployment_id)
    if rule is None:
        return await _ask(call)
    call.recording = runtime.capture.begin(rule, actor, request, lambda: _in_force(runtime, rule))
    answer = await _ask(call)
    answer.kept = rule.header
    return answer


def kept_of(runtime: Runtime, name: str) -> str:
    """What the capture policy of a deployment says, as `Answer.kept`; empty when there is none."""
    route = runtime.directory.now.routes.get(name)
    rule = runtime.directory.now.capture.get(route.deployment_id) if route else None
    return rule.header if rule else ""


def _in_force(runtime: Runtime, rule: Rule) -> bool:
    """Whether the rule still holds: a policy that ended meanwhile keeps nothing more."""
    return runtime.directory.now.capture.get(rule.deployment_id) == rule


async def refuse(
    runtime: Runtime, actor: Actor, error: ApiError, *, route: Route | None = None, model: str = ""
) -> ApiError:
    """Store the refusal; returns what to raise: the error, or 503 when it cannot be stored."""
    if route is not None:
        objects = [Obj("deployment", str(route.deployment_id), route.name)]
    else:
        objects = [Obj("deployment", "", model)] if model else []
    draft = Draft(
        actor,
        Act.INFERENCE_REFUSED,
        objects,
        outcome="failure" if error.status in (400, 422) else "denied",
        reason=error.reason,
        permission=Act.DEPLOYMENT_USE.value,
        details={"status": error.status},
    )
    try:
        await runtime.log.write(draft)
    except LogUnavailable:
        return unavailable()
    return error


def unavailable() -> ApiError:
    return ApiError(
        503, "log_unavailable",
        "The audit log cannot be written, so nothing is answered. Try again shortly.",
    )  # fmt: skip


async def _admissible(runtime: Runtime, actor: Actor, request: ChatRequest, via: str) -> Route:
    if runtime.stopping or not runtime.directory.fresh or not runtime.log.healthy:
        raise unavailable()
    route = runtime.directory.now.routes.get(request.model)
    if route is None:
        raise await refuse(
            runtime, actor, unknown(request.model, "unknown_model"), model=request.model
        )
    if via == "playground":
        allowed = role_allows(actor.role, Act.DEPLOYMENT_TRY)
    else:
        allowed = runtime.directory.may_use(actor.id, route.deployment_id)
    if not allowed:
        raise await refuse(runtime, actor, unknown(request.model, "not_granted"), route=route)
    if runtime.requests >= MAX_IN_FLIGHT:
        error = ApiError(503, "overloaded", "Too many requests are under way. Try again shortly.")
        raise await refuse(runtime, actor, error, route=route)
    return route


def unknown(model: str, reason: str) -> ApiError:
    """The same words whether it does not exist or is not granted; the event tells them apart."""
    return ApiError(
        404, "model_not_found",
        f"The deployment `{model}` does not exist or you do not have access to it. "
        "A security administrator can grant it.",
        reason=reason, param="model",
    )  # fmt: skip


def _not_in_service(route: Route) -> ApiError:
    return ApiError(
        503, "not_in_service",
        f"The deployment `{route.name}` is not in service now (it is {route.state}). "
        "A system administrator can start it.",
    )  # fmt: skip


async def _ask(call: Call) -> Answer:
    """Ask the replica; as long as no byte has gone out, another one when it fails."""
    handed_over = False
    try:
        while True:
            try:
                response = await _post(call)
                if response.status == 200 and call.request.stream:
                    handed_over = True
                    return Answer("text/event-stream; charset=utf-8", chunks=Chunks(call, response))
                if response.status == 200:
                    return await _whole(call, response)
                refused = await _upstream_refused(response)
            except UPSTREAM_ERRORS as error:
                refused = _upstream_failed(call, error)
            if refused.status == 400 or not call.try_elsewhere():
                call.abort("error", refused.reason)
                raise refused
    except LogUnavailable as error:
        raise unavailable() from error
    except asyncio.CancelledError:
        call.abort("aborted", "client_closed")
        raise
    finally:
        if not handed_over:
            call.leave()


async def _post(call: Call) -> aiohttp.ClientResponse:
    endpoint = call.endpoint
    access = endpoint.node.access
    return await call.runtime.session.post(
        f"{endpoint.node.url}/v1/chat/completions",
        data=call.request.for_node(endpoint.tag, endpoint.schema, endpoint.sampling),
        headers={**access.headers, "Content-Type": "application/json"},
        ssl=access.tls or True,
        allow_redirects=False,
    )


async def _whole(call: Call, response: aiohttp.ClientResponse) -> Answer:
    body = await response.content.read(MAX_ANSWER_BYTES)
    while not response.content.at_eof():
        more = await response.content.read(MAX_ANSWER_BYTES)
        body += more
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            raise ValueError("the node's answer is too long")
    call.first = time.monotonic()
    reply = orjson.loads(body)
    call.usage = reply.get("usage") or {}
    call.stop = str((reply.get("choices") or [{}])[0].get("finish_reason") or "")
    body = body.replace(model_field(call.endpoint.tag), model_field(call.route.name), 1)
    call.bytes_out = len(body)
    call.hear(body)
    call.runtime.load.answered(call.endpoint)
    await call.complete(call.judge(call.endpoint, reply) if call.judge else "")
    return Answer("application/json", body=body)


async def _stream(call: Call, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Pass content on as it comes; hold the finish, the usage and [DONE] until all is stored."""
    held: list[bytes] = []
    finished = False
    try:
        async for came in events(response.content.iter_any()):
            on, finished = _passed_on(call, came, held)
            if on:
                call.first = call.first or time.monotonic()
                call.bytes_out += len(on)
                yield on
            if finished:
                break
        if not finished:
            raise ValueError("the node ended without [DONE]")
        last = _final(call, held)
        call.runtime.load.answered(call.endpoint)
        await call.complete()
        for event in last:
            yield event
        yield DONE
    except LogUnavailable:
        yield b"data: " + unavailable().body() + b"\n\n"
    except (asyncio.CancelledError, GeneratorExit):
        call.abort("aborted", "client_closed")
        raise
    except UPSTREAM_ERRORS as error:
        call.runtime.load.failed(call.endpoint)
        failed = _upstream_failed(call, error)
        call.abort("error", failed.reason)
        yield b"data: " + failed.body() + b"\n\n"
    finally:
        response.close()
        call.leave()


def _passed_on(call: Call, came: list[bytes], held: list[bytes]) -> tuple[bytes, bool]:
    """Of events that came together what goes on now (from the finish on they are held), and whether
    the node has said that it was the last."""
    tag, name = model_field(call.endpoint.tag), model_field(call.route.name)
    on: list[bytes] = []
    for raw in came:
        if raw.startswith(LAST):
            return b"".join(on), True
        event = raw.replace(tag, name, 1)
        call.hear(event)
        if NOT_FINISHED in event and not held:
            on.append(event)
        elif len(held) < MAX_HELD:
            held.append(event)
        else:
            raise ValueError("the node sends and sends after its finish")
    return b"".join(on), False


def _final(call: Call, held: list[bytes]) -> list[bytes]:
    """Read usage and finish from the held events; those that the client is to see."""
    shown = []
    for event in held:
        data = payload(event)
        if "error" in data:
            raise ValueError(str(data["error"])[:300])
        choices = data.get("choices") or []
        if usage := data.get("usage"):
            call.usage = usage
        if choices:
            call.stop = str(choices[0].get("finish_reason") or call.stop)
        if choices or call.request.wants_usage:
            shown.append(event)
    call.bytes_out += sum(map(len, shown))
    return shown


async def _upstream_refused(response: aiohttp.ClientResponse) -> ApiError:
    """The node's own reason, shown; a request that the node calls bad stays a 400."""
    text = (await response.content.read(4096)).decode("utf-8", "replace")
    response.close()
    try:
        error = orjson.loads(text).get("error")
        reason = str(error.get("message") if isinstance(error, dict) else error)
    except (orjson.JSONDecodeError, AttributeError):
        reason = f"HTTP {response.status}"
    told = f"node: {reason}"[:300]
    if response.status == 400:
        return ApiError(400, "invalid_request", reason[:500], reason=told)
    return ApiError(502, "node_error", f"The node could not answer: {reason[:500]}", reason=told)


def _upstream_failed(call: Call, error: Exception) -> ApiError:
    return ApiError(
        502, "node_unreachable",
        f"The node of `{call.route.name}` does not answer or broke off. Try again; if it stays, "
        "a system administrator can look at the node.",
        reason=f"upstream_failed: {type(error).__name__}",
    )  # fmt: skip
