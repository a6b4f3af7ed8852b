"""The inference door: a raw ASGI application, dispatched before Django and runnable alone.

POST /v1/chat/completions    streamed and not
GET  /v1/models, /v1/models/{name}
POST /v1/tasks/{name}        one text in, one judged answer out
GET  /v1/tasks, /v1/tasks/{name}/openapi.json
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings

from audit.ledger.actor import Actor, Origin
from audit.ledger.identifiers import uuid7
from gateway import pipeline, runtime, tasks
from gateway.directory import Route
from gateway.wire.contract import openapi
from gateway.wire.openai import ApiError, ChatRequest, model_list, parse_chat
from gateway.wire.tasks import CONTRACT, PREFIX, parse_task, task_list

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_S = 30.0
SAFE_ID = re.compile(rb"^[A-Za-z0-9._-]{8,64}$")


@dataclass(slots=True)
class Exchange:
    """One HTTP exchange: what came in, and the way back."""

    scope: Scope
    receive: Receive
    send: Send
    headers: dict[bytes, bytes]
    request_id: str
    began: float

    @property
    def origin(self) -> Origin:
        client = self.scope.get("client") or ("", 0)
        return Origin(
            ip=str(client[0]),
            user_agent=self.headers.get(b"user-agent", b"").decode("latin-1")[:512],
            request_id=self.request_id,
            method=str(self.scope["method"]),
            route=_route(str(self.scope["path"])),
        )

    async def start(self, status: int, content_type: str, *extra: tuple[bytes, bytes]) -> None:
        overhead = f"{(time.monotonic() - self.began) * 1000:.1f}"
        headers = [
            (b"content-type", content_type.encode()),
            (b"x-request-id", self.request_id.encode()),
            (b"x-fusebox-ms", overhead.encode()),
            (b"cache-control", b"no-store"),
            *extra,
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def reply(self, status: int, body: bytes, *extra: tuple[bytes, bytes]) -> None:
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, "application/json", length, *extra)
        if self.scope["method"] == "HEAD":
            body = b""
        await self.send({"type": "http.response.body", "body": body})


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI, for scopes of type http. The lifespan belongs to gateway.asgi or console.asgi."""
    headers = dict(scope["headers"])
    given = headers.get(b"x-request-id", b"")
    request_id = given.decode() if SAFE_ID.match(given) else str(uuid7())
    exchange = Exchange(scope, receive, send, headers, request_id, time.monotonic())
    try:
        await _dispatch(exchange)
    except ApiError as error:
        await exchange.reply(error.status, error.body(), *_error_headers(error))


async def _dispatch(exchange: Exchange) -> None:
    path, method = str(exchange.scope["path"]), str(exchange.scope["method"])
    if path == "/v1/chat/completions":
        _allow(method, "POST")
        await _chat(exchange)
    elif path == "/v1/models" or path.startswith("/v1/models/"):
        _allow(method, "GET", "HEAD")
        await _models(exchange, path.removeprefix("/v1/models").removeprefix("/"))
    elif path == "/v1/tasks" or (path.startswith(PREFIX) and path.endswith(CONTRACT)):
        _allow(method, "GET", "HEAD")
        await _contracts(exchange, path.removeprefix(PREFIX).removesuffix(CONTRACT))
    elif path.startswith(PREFIX):
        _allow(method, "POST")
        await _task(exchange, path.removeprefix(PREFIX))
    else:
        raise ApiError(404, "unknown_url", f"Unknown request URL: {method} {path[:200]}")


def _allow(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise ApiError(405, "method_not_allowed", f"Use {' or '.join(allowed)} here.")


async def _chat(exchange: Exchange) -> None:
    actor = await _authenticate(exchange)
    request = await _read(exchange, actor, parse_chat)
    await _attended(exchange, _answer(exchange, pipeline.chat(runtime.current(), actor, request)))


async def _task(exchange: Exchange, name: str) -> None:
    actor = await _authenticate(exchange)
    request = await _read(exchange, actor, lambda body: parse_task(body, name))
    rt = runtime.current()
    kept = _kept(pipeline.kept_of(rt, request.model))
    await _attended(exchange, _whole(exchange, tasks.run(rt, actor, request), *kept))


async def _read(
    exchange: Exchange, actor: Actor, parse: Callable[[bytes], ChatRequest]
) -> ChatRequest:
    """The request; one that cannot be read is an event before it is an answer."""
    try:
        return parse(await _body(exchange))
    except ApiError as error:
        raise await pipeline.refuse(runtime.current(), actor, error) from error


async def _attended(exchange: Exchange, working: Coroutine[Any, Any, None]) -> None:
    """Work as long as the client is there: when it hangs up, this task is cancelled in its work."""
    task = cast("asyncio.Task[None]", asyncio.current_task())
    working_still = True

    def leave(_watcher: asyncio.Future[None]) -> None:
        if working_still:
            task.cancel()

    watcher = asyncio.ensure_future(_hang_up(exchange.receive))
    watcher.add_done_callback(leave)
    try:
        await working
    except asyncio.CancelledError:
        if not watcher.done() or task.uncancel():
            raise
    finally:
        working_still = False
        watcher.cancel()


async def _answer(exchange: Exchange, asked: Awaitable[pipeline.Answer]) -> None:
    answer = await asked
    told = _kept(answer.kept)
    if answer.chunks is None:
        await exchange.reply(200, answer.body, *told)
        return
    async with aclosing(answer.chunks) as chunks:
        await exchange.start(200, answer.content_type, *told)
        async for chunk in chunks:
            await exchange.send({"type": "http.response.body", "body": chunk, "more_body": True})
        await exchange.send({"type": "http.response.body", "body": b""})


async def _whole(exchange: Exchange, asked: Awaitable[bytes], *extra: tuple[bytes, bytes]) -> None:
    await exchange.reply(200, await asked, *extra)


def _kept(policy: str) -> list[tuple[bytes, bytes]]:
    """The header by which applications are told what is kept of their requests."""
    return [(b"x-fusebox-kept", policy.encode())] if policy else []


async def _contracts(exchange: Exchange, name: str) -> None:
    """What may be asked of which deployment: the list, or one as an OpenAPI document."""
    actor = await _authenticate(exchange)
    routes = _reached(actor)
    if name == "/v1/tasks":
        await exchange.reply(200, task_list(routes))
        return
    found = [route for route in routes if route.name == name]
    if not found:
        raise pipeline.unknown(name[:200], "not_granted")
    await exchange.reply(200, openapi(found[0], settings.FUSEBOX_PUBLIC_URL))


def _reached(actor: Actor) -> list[Route]:
    directory = runtime.current().directory
    return [
        route
        for route in directory.now.routes.values()
        if route.endpoints and directory.may_use(actor.id, route.deployment_id)
    ]


async def _models(exchange: Exchange, name: str) -> None:
    actor = await _authenticate(exchange)
    routes = [
        (route.name, int(route.live_at.timestamp()) if route.live_at else 0)
        for route in _reached(actor)
    ]
    if not name:
        await exchange.reply(200, model_list(routes))
        return
    found = [r for r in routes if r[0] == name]
    if not found:
        raise pipeline.unknown(name[:200], "not_granted")
    await exchange.reply(200, model_list(found)[len(b'{"object":"list","data":[') : -2])


async def _authenticate(exchange: Exchange) -> Actor:
    """The owner of the key. Every refusal is an event before it is an answer."""
    rt = runtime.current()
    if not rt.directory.fresh:
        raise pipeline.unavailable()
    header = exchange.headers.get(b"authorization", b"")
    scheme, _, secret = header.partition(b" ")
    if scheme.lower() != b"bearer" or not secret.strip():
        nobody = Actor.anonymous(exchange.origin)
        raise await pipeline.refuse(rt, nobody, _unauthorised("missing_api_key"))
    entry = rt.directory.now.keys.get(hashlib.sha256(secret.strip()).digest())
    if entry is None:
        nobody = Actor.anonymous(exchange.origin)
        raise await pipeline.refuse(rt, nobody, _unauthorised("invalid_api_key"))
    actor = entry.actor(exchange.origin)
    if reason := entry.refusal():
        raise await pipeline.refuse(rt, actor, _unauthorised(reason))
    return actor


def _unauthorised(reason: str) -> ApiError:
    """One answer for every key that does not serve; our event knows why."""
    message = (
        "You did not provide an API key. Send it as: Authorization: Bearer fbx_…"
        if reason == "missing_api_key"
        else "Incorrect API key provided, or it has expired or been revoked. "
        "A security administrator can issue a new one."
    )
    return ApiError(401, "invalid_api_key", message, reason=reason)


async def _body(exchange: Exchange) -> bytes:
    """The whole body, bounded in size and time."""
    limit = settings.MAX_REQUEST_BYTES
    length = exchange.headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await exchange.receive()
                if message["type"] == "http.disconnect":
                    raise ApiError(
                        400, "invalid_request", "the request was cut off", reason="client_closed"
                    )
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError as error:
        raise ApiError(408, "request_timeout", "The body did not arrive in time.") from error


def _too_large(limit: int) -> ApiError:
    return ApiError(
        413, "request_too_large", f"The request is larger than {limit} bytes. Send less text."
    )


async def _hang_up(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _route(path: str) -> str:
    if path.startswith(PREFIX):
        return PREFIX + "{name}" + (CONTRACT if path.endswith(CONTRACT) else "")
    return "/v1/models/{name}" if path.startswith("/v1/models/") else path[:100]


def _error_headers(error: ApiError) -> list[tuple[bytes, bytes]]:
    if error.status == 401:
        return [(b"www-authenticate", b"Bearer")]
    if error.status == 503:
        return [(b"retry-after", b"2")]
    return [(b"connection", b"close")] if error.status in (408, 413) else []
