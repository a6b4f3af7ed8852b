"""Chat for those who have a grant, and the stream that chat and playground share.

Both go through the gateway's pipeline: the same grant, the same events as an application's request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import cast
from uuid import UUID

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from access import policy
from access.errors import Denied
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.office.content.terms import in_force
from console import notices
from console.requests import PageRequest
from console.task_shape import is_task
from deployments.models import Deployment
from gateway import pipeline, runtime
from gateway.wire.openai import ApiError, parse_chat

ALLOWED = ("messages", "temperature", "max_tokens")


def chat_list(request: PageRequest) -> HttpResponse:
    granted = policy.granted_deployment_ids(request.actor)
    deployments = Deployment.objects.live().filter(pk__in=granted)
    return render(request, "chat/list.html", {"deployments": deployments})


def deployment_use(request: PageRequest, pk: UUID) -> HttpResponse:
    """The chat page of one deployment."""
    rows = Deployment.objects.present().select_related("current")
    deployment = policy.get_for(request.actor, Act.DEPLOYMENT_USE, rows, pk)
    policy.require(request.actor, Act.DEPLOYMENT_USE, pk, deployment_id=deployment.pk)
    context = {
        "deployment": deployment,
        "is_task": is_task(deployment.current),
        "public_url": settings.FUSEBOX_PUBLIC_URL,
        "kept": in_force(deployment.pk),
    }
    return render(request, "chat/chat.html", context)


@require_POST
def deployment_chat(request: PageRequest, pk: UUID) -> HttpResponseBase:
    """Stream an answer as server-sent events; errors in OpenAI's shape."""
    deployment = policy.get_for(request.actor, Act.DEPLOYMENT_USE, Deployment.objects.present(), pk)
    via = _way(request.actor, deployment)
    if error := notices.unread(deployment.pk, _notice(request.body)):
        return HttpResponse(error.body(), status=409, content_type="application/json")
    return _stream_of(request, request.actor, deployment.name, via)


def _way(actor: Actor, deployment: Deployment) -> str:
    """By grant if there is one, else as a trial by those who run the machines. Raises Denied."""
    if policy.can(actor, Act.DEPLOYMENT_USE, deployment.pk):
        return "chat"
    if policy.can(actor, Act.DEPLOYMENT_TRY):
        return "playground"
    raise Denied(
        actor,
        Act.DEPLOYMENT_USE,
        target=str(deployment.pk),
        helpers=policy.who_can_help(Act.DEPLOYMENT_USE),
    )


def _notice(body: bytes) -> object:
    """Which notice the page showed; nothing for a body that will be refused anyway."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return given.get("notice") if isinstance(given, dict) else None


def _stream_of(
    request: HttpRequest, actor: Actor, name: str, via: str
) -> StreamingHttpResponse | HttpResponse:
    try:
        asked = parse_chat(_as_openai(request.body, name))
    except ApiError as error:
        return HttpResponse(error.body(), status=error.status, content_type="application/json")

    async def chunks() -> AsyncIterator[bytes]:
        try:
            answer = await pipeline.chat(runtime.current(), actor, asked, via=via)
            async with aclosing(cast(pipeline.Chunks, answer.chunks)) as stream:
                async for chunk in stream:
                    yield chunk
        except ApiError as error:
            yield b"data: " + error.body() + b"\n\n"

    return StreamingHttpResponse(
        chunks(),
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _as_openai(body: bytes, name: str) -> bytes:
    """The page's message with what the page may not choose: the deployment, and that it streams."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(given, dict):
        return body
    fields = {k: v for k, v in given.items() if k in ALLOWED and v is not None}
    fields |= {"model": name, "stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps(fields)
