"""One admitted request: where it is answered, what is measured of it, the events about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.event import Draft, Obj
from audit.ledger.log import LogUnavailable
from gateway.capture import Recording
from gateway.directory import Endpoint, Route
from gateway.runtime import Runtime
from gateway.wire.openai import ChatRequest

MAX_TRIES = 3
# Looks at a whole reply before its end is stored; gives the reason why it is not to be used, or "".
Judge = Callable[[Endpoint, dict[str, Any]], str]


@dataclass(slots=True)
class Call:
    """One admitted request and what is measured of it. Times in seconds of the monotonic clock."""

    runtime: Runtime
    actor: Actor
    route: Route
    endpoint: Endpoint
    request: ChatRequest
    via: str
    judge: Judge | None = None
    began: float = field(default_factory=time.monotonic)
    first: float = 0.0
    bytes_out: int = 0
    usage: dict[str, Any] = field(default_factory=dict)
    stop: str = ""
    settled: bool = False
    tried: set[str] = field(default_factory=set)
    counted: bool = False
    recording: Recording | None = None
    boot: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.boot = self.runtime.log.boot

    def enter(self, endpoint: Endpoint) -> None:
        """Counted on this replica from here; a burst sees itself, and a drain waits for it."""
        self.leave()
        self.endpoint, self.counted = endpoint, True
        self.tried.add(endpoint.id)
        self.runtime.load.enter(endpoint)

    def leave(self) -> None:
        if self.counted:
            self.counted = False
            self.runtime.load.leave(self.endpoint)

    def try_elsewhere(self) -> bool:
        """After a failure, while nothing has gone out: another replica, if there is one."""
        self.runtime.load.failed(self.endpoint)
        other = self.runtime.pick(self.route, self.tried)
        if other is None or len(self.tried) >= MAX_TRIES or self.runtime.stopping:
            return False
        self.usage, self.first = {}, 0.0
        self.enter(other)
        return True

    def draft(
        self,
        act: Act,
        outcome: str = "success",
        reason: str = "",
        content: Mapping[str, Any] | None = None,
    ) -> Draft:
        objects: tuple[Obj, ...] = (
            Obj("deployment", str(self.route.deployment_id), self.route.name),
            Obj("model", self.endpoint.digest, self.endpoint.model),
            Obj("node", self.endpoint.node.id, self.endpoint.node.name),
        )
        if content and content["captured"]:
            objects = (*objects, Obj("content", content["ref"]))
        use = {} if act is Act.INFERENCE_ADMITTED else self._use()
        permission = Act.DEPLOYMENT_TRY if self.via == "playground" else Act.DEPLOYMENT_USE
        return Draft(
            self.actor, act, objects, outcome=outcome, reason=reason, permission=permission.value,
            ai=self._ai(), use=use, content=content or {},
        )  # fmt: skip

    def _ai(self) -> dict[str, Any]:
        return {
            "deployment": self.route.name,
            "revision": self.endpoint.revision,
            "model": self.endpoint.model,
            "digest": self.endpoint.digest,
            "node": self.endpoint.node.name,
            "op": "task" if self.judge else "chat",
            "stream": self.request.stream,
            "via": self.via,
        }

    def _use(self) -> dict[str, Any]:
        now = time.monotonic()
        return {
            "in_tok": _count(self.usage, "prompt_tokens"),
            "out_tok": _count(self.usage, "completion_tokens"),
            "ms_first": int(((self.first or now) - self.began) * 1000),
            "ms_total": int((now - self.began) * 1000),
            "bytes_in": self.request.size,
            "bytes_out": self.bytes_out,
            "stop": self.stop,
        }

    def hear(self, data: bytes) -> None:
        """What goes to the client: a whole answer, or an event of a stream."""
        if self.recording is not None:
            self.recording.hear(data)

    async def complete(self, reason: str = "") -> None:
        """Store `completed`, with the reason why the answer is not to be used, if there is one.
        Raises LogUnavailable when that takes too long.

        What is kept of the words is stored before: the event says whether it was.
        """
        content = await self.recording.kept() if self.recording else None
        self.settled = True
        outcome = "failure" if reason else "success"
        draft = self.draft(Act.INFERENCE_COMPLETED, outcome, reason, content)
        await self.runtime.log.write(draft, 10, ends=self.boot)

    def abort(self, outcome: str, reason: str) -> None:
        """Store `aborted`, in any case and without waiting."""
        if self.settled:
            return
        self.settled = True
        if self.recording:
            self.runtime.capture.then(self.recording, partial(self._aborted, outcome, reason))
        else:
            self._aborted(outcome, reason, None)

    def _aborted(self, outcome: str, reason: str, content: Mapping[str, Any] | None) -> None:
        draft = self.draft(Act.INFERENCE_ABORTED, outcome, reason, content)
        with suppress(LogUnavailable):
            self.runtime.log.submit(draft, ends=self.boot)


def _count(usage: object, name: str) -> int:
    """A number of tokens as the node gave it; 0 for anything that is no number."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and 0 <= value <= 2**31 else 0
