"""What a node tells line by line, and its refusals as our errors. Part of deployments.ollama, which
is imported."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.utils.translation import gettext_noop as _

from access.said import quote, say
from deployments.ollama_types import (
    BadReply,
    Interrupted,
    ModelMissing,
    OllamaError,
    Progress,
    Refused,
)
from deployments.reasons import explained

if TYPE_CHECKING:
    from deployments.ollama import Node

MAX_LINE = 64 * 1024
T = TypeVar("T")


class Lines(Generic[T]):
    """What a node tells line by line. Ending the iteration hangs up; `hang_up` does so from
    another thread, which is how a silent node is left."""

    def __init__(
        self,
        node: Node,
        path: str,
        body: dict[str, Any],
        silence_s: float,
        read: Callable[[dict[str, Any]], T],
    ) -> None:
        self._node, self._path, self._body, self._silence_s = node, path, body, silence_s
        self._read = read
        self._socket: socket.socket | None = None

    def __iter__(self) -> Iterator[T]:
        with (
            self._node._client(self._silence_s) as client,
            client._client.stream("POST", self._path, json=self._body) as reply,
        ):
            stream = reply.extensions.get("network_stream")
            self._socket = stream.get_extra_info("socket") if stream else None
            raise_for_status(reply)
            for line in reply.iter_lines():
                if line.strip():
                    yield self._read(json.loads(line[:MAX_LINE]))

    def hang_up(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class Steps(Lines[Progress]):
    """What a node reports of long work."""

    def __init__(self, node: Node, path: str, body: dict[str, Any], silence_s: float) -> None:
        super().__init__(node, path, body, silence_s, _progress)


def told(part: dict[str, Any]) -> dict[str, Any]:
    """The part, unless it tells of an error."""
    if error := part.get("error"):
        raise refused(HTTPStatus.BAD_REQUEST, str(error))
    return part


def _progress(part: dict[str, Any]) -> Progress:
    told(part)
    return Progress(
        status=str(part.get("status") or "")[:200],
        done=int(part.get("completed") or 0),
        total=int(part.get("total") or 0),
        digest=str(part.get("digest") or "")[:80],
    )


def refused(status: int, text: str) -> OllamaError:
    """A node's refusal as the error that it is."""
    said = quote(text) or quote(f"HTTP {status}")
    if status == HTTPStatus.NOT_FOUND:
        return ModelMissing(explained(said))
    if "context canceled" in said.text:
        return Interrupted(said)
    if said.text.startswith("<") or (
        HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    ):
        return BadReply(
            say(_("What answers at this address is not Ollama (HTTP %(status)d)."), status=status)
        )
    return Refused(explained(said))


def raise_for_status(reply: Any) -> None:
    """`reply`: an httpx.Response."""
    if not reply.is_success:
        reply.read()
        raise refused(reply.status_code, reply.text)
