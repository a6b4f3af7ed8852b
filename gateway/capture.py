"""Keeping what was said, where a deployment's capture policy says so; elsewhere nothing runs.

The words are encrypted before they are stored, and stored before the event that says so: an event
of a captured request either names its content or says why there is none.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg
from django.conf import settings

from audit.ledger.actor import Actor
from audit.ledger.identifiers import uuid7
from audit.office.content import cipher
from audit.office.content.keys import KeyFolder, KeyGone, Scope
from gateway.wire.openai import ChatRequest, payload

logger = logging.getLogger(__name__)

STORE_S = 5.0
# A server-sent event is its word and some 200 bytes of frame.
FRAME = 40
INSERT = """
INSERT INTO office_content (id, deployment_id, person_id, policy_id, request_id, day, expires_at,
    cipher, wrapped, body, size)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """A capture policy in force, as the gateway knows it."""

    deployment_id: UUID
    policy_id: UUID
    prompt: bool
    answer: bool
    percent: int
    days: int

    @property
    def header(self) -> str:
        """What applications are told with each answer."""
        what = ", ".join(n for n, on in (("prompt", self.prompt), ("answer", self.answer)) if on)
        return f"{what}; days={self.days}; percent={self.percent}"


@dataclass(slots=True)
class Recording:
    """One request that is kept. `hear` is given what goes to the client, as it goes."""

    store: Capture
    rule: Rule
    actor: Actor
    prompt: object
    in_force: Callable[[], bool]
    most: int
    heard: list[bytes] = field(default_factory=list)
    size: int = 0
    cut: bool = False
    _task: asyncio.Task[dict[str, Any]] | None = None

    def hear(self, data: bytes) -> None:
        """A whole answer, or one event of a streamed one. Frames of events count, too, but are
        mostly larger than their words: hence FRAME."""
        if not self.rule.answer or self.cut:
            return
        self.size += len(data)
        if self.size > self.most * FRAME:
            self.cut = True
        else:
            self.heard.append(data)

    async def kept(self) -> dict[str, Any]:
        """Store it, once; what the event says of it. A caller that goes away does not stop it."""
        if self._task is None:
            self._task = asyncio.ensure_future(self.store.keep(self))
        return await asyncio.shield(self._task)


class Capture:
    """The store of one gateway process: one connection, opened at the first need."""

    def __init__(self, conninfo: str, folder: Path, cipher: str) -> None:
        self._conninfo = conninfo
        self._keys = KeyFolder(folder)
        self._cipher = cipher
        self._connection: psycopg.AsyncConnection[tuple[object, ...]] | None = None
        self._lock = asyncio.Lock()
        self._later: set[asyncio.Task[None]] = set()

    def begin(
        self, rule: Rule, actor: Actor, request: ChatRequest, in_force: Callable[[], bool]
    ) -> Recording | None:
        """A recording, or None when this request is not in the sample."""
        if rule.percent < 100 and random.random() * 100 >= rule.percent:  # noqa: S311  no secret
            return None
        prompt = request.fields.get("messages") if rule.prompt else None
        most = settings.CONTENT_MAX_KB * 1024
        return Recording(self, rule, actor, prompt, in_force, most)

    def then(self, recording: Recording, end: Callable[[Mapping[str, Any]], None]) -> None:
        """Store it without anybody waiting, then call `end` with what the event says of it."""

        async def finish() -> None:
            end(await recording.kept())

        task = asyncio.ensure_future(finish())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def stop(self) -> None:
        """What is being stored is stored; for a moment it is waited for."""
        if self._later:
            await asyncio.wait(self._later, timeout=STORE_S)
        if self._connection is not None:
            await self._connection.close()

    async def keep(self, recording: Recording) -> dict[str, Any]:
        """Never raises for want of a key, a disk or a database: the answer says so instead."""
        said: dict[str, Any] = {"captured": False, "policy": str(recording.rule.policy_id)}
        if not recording.in_force():
            return said | {"why": "policy_ended"}
        try:
            async with asyncio.timeout(STORE_S):
                row, committed = await asyncio.to_thread(self._sealed, recording)
                await self._insert(row)
        except (KeyGone, OSError, ValueError, psycopg.Error, TimeoutError) as error:
            why = type(error).__name__
            logger.warning("the content of a request could not be kept: %s", why)
            return said | {"why": why}
        return said | committed

    def _sealed(self, recording: Recording) -> tuple[tuple[object, ...], dict[str, Any]]:
        """The row and what the event says of it. In a thread: it waits for the disk."""
        rule, pk, now = recording.rule, uuid7(), datetime.now(UTC)
        texts = self._texts(recording)
        person = UUID(recording.actor.id)
        outer = self._keys.made(Scope(now.date(), rule.deployment_id, person))
        plain = orjson.dumps(texts)
        sealed, own = cipher.wrap(self._cipher, outer, plain, pk.bytes)
        expires = now + timedelta(days=rule.days)
        row = (
            pk, rule.deployment_id, person, rule.policy_id, recording.actor.origin.request_id,
            now.date(), expires, sealed.cipher, sealed.wrapped, sealed.body, len(plain),
        )  # fmt: skip
        said = {"captured": True, "ref": str(pk), "expires": expires.isoformat(timespec="seconds")}
        for name, mark in (("prompt", "prompt_c"), ("answer", "response_c")):
            if name in texts:
                said[mark] = cipher.commitment(own, name, texts[name])
        return row, said

    def _texts(self, recording: Recording) -> dict[str, Any]:
        texts: dict[str, Any] = {}
        if recording.rule.prompt:
            texts["prompt"] = orjson.dumps(recording.prompt).decode()
        if recording.rule.answer:
            texts["answer"] = answer_of(recording.heard)
        cut = ["answer"] if recording.cut else []
        for name, text in texts.items():
            if len(text) > recording.most:
                texts[name] = text[: recording.most]
                cut.append(name)
        return {**texts, "cut": sorted(set(cut))} if cut else texts

    async def _insert(self, row: tuple[object, ...]) -> None:
        async with self._lock:
            for last in (False, True):
                try:
                    if self._connection is None:
                        self._connection = await psycopg.AsyncConnection.connect(
                            self._conninfo, connect_timeout=3, autocommit=True,
                            application_name="fusebox-capture",
                        )  # fmt: skip
                    await self._connection.execute(INSERT, row)
                    return
                except psycopg.OperationalError:
                    # It may have been idle for hours: once more on a new one.
                    with suppress(psycopg.Error, OSError):
                        if self._connection is not None:
                            await self._connection.close()
                    self._connection = None
                    if last:
                        raise
                except psycopg.errors.UniqueViolation:
                    return


def answer_of(heard: list[bytes]) -> str:
    """The words of an answer: of a JSON body, or of the events of a stream."""
    if len(heard) == 1 and heard[0].lstrip().startswith(b"{"):
        found = [orjson.loads(heard[0])]
        part = "message"
    else:
        found, part = [payload(event) for event in heard], "delta"
    words: dict[int, list[str]] = {}
    for reply in found:
        for choice in reply.get("choices") or []:
            said = choice.get(part) or {}
            spoken = words.setdefault(int(choice.get("index") or 0), [])
            spoken += [said[n] for n in ("reasoning", "content") if isinstance(said.get(n), str)]
            if said.get("tool_calls"):
                spoken.append(orjson.dumps(said["tool_calls"]).decode())
    return "\n\n".join("".join(words[index]) for index in sorted(words))
