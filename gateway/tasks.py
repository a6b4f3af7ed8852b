"""A task: one text, one answer, judged before it is given out. Through the pipeline like any
request, for applications and for the page alike."""

from __future__ import annotations

from typing import Any

from audit.ledger.actor import Actor
from gateway import judging, pipeline
from gateway.directory import Endpoint
from gateway.judging import Verdict
from gateway.runtime import Runtime
from gateway.wire import tasks as wire
from gateway.wire.openai import ApiError, ChatRequest


class Judge:
    """Looks at a reply before its `completed` is stored, so that the event says what came of it."""

    def __init__(self) -> None:
        self.verdict = Verdict("output_empty")
        self.reply: dict[str, Any] = {}
        self.endpoint: Endpoint | None = None

    def __call__(self, endpoint: Endpoint, reply: dict[str, Any]) -> str:
        self.endpoint, self.reply = endpoint, reply
        self.verdict = judging.judge(reply, endpoint.schema, endpoint.context)
        return self.verdict.code


async def run(runtime: Runtime, actor: Actor, request: ChatRequest, *, via: str = "key") -> bytes:
    """The body of the answer. Raises ApiError, whose event is already durable."""
    await _refuse_too_long(runtime, actor, request)
    judge = Judge()
    await pipeline.chat(runtime, actor, request, via=via, judge=judge)
    if judge.endpoint is None:
        raise ApiError(502, "node_error", "The node answered in another shape than it should.")
    return wire.answer(judge.verdict, judge.endpoint, judge.reply, request.model)


async def _refuse_too_long(runtime: Runtime, actor: Actor, request: ChatRequest) -> None:
    """What no replica can hold, before anybody works on it. Only to those who may know that the
    deployment is there; the pipeline refuses the others."""
    route = runtime.directory.now.routes.get(request.model)
    if route is None or not runtime.directory.may_use(actor.id, route.deployment_id):
        return
    most = max((endpoint.context for endpoint in route.endpoints), default=0)
    if most and wire.surely_too_long(request, most):
        raise await pipeline.refuse(runtime, actor, wire.too_long(most), route=route)
