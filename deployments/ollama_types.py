"""What a node says, typed, and how it can fail. Part of deployments.ollama, which is imported."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from access.said import Text
from deployments import fit

BLOCK = 1024 * 1024


class OllamaError(Exception):
    """A node did not do what it was asked; the text is fit to be shown, in any language."""

    def __init__(self, text: Text) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return str(self.text)


class Unreachable(OllamaError):
    """No connection: nothing listens there, or the network is away."""


class Timeout(OllamaError):
    """Connected, but no answer in time."""


class Refused(OllamaError):
    """Ollama answered with an error; the text is Ollama's own reason."""


class ModelMissing(Refused):
    """The node has no such model."""


class Interrupted(Refused):
    """The node was still ending the same transfer for somebody who had hung up; ask again."""


class BadReply(OllamaError):
    """Something answers there, but it does not speak Ollama's language."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag in a node's store. `digest` in hex, `size` in bytes."""

    name: str
    digest: str
    size: int
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What `show` tells beyond the tag. `content`: the same for the same model on every node;
    `adapter`: the digest of the adapter that is attached."""

    context_length: int | None
    capabilities: list[str]
    licence: str
    content: str = ""
    adapter: str = ""
    shape: fit.Shape | None = None

    @classmethod
    def of(cls, modelfile: str, **facts: Any) -> Facts:
        return cls(content=content(modelfile), adapter=adapter(modelfile), **facts)


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of a pull or create: status text, bytes done and total (0: the node says none) of
    the part that `digest` names."""

    status: str
    done: int = 0
    total: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer to a probe and its figures: durations in milliseconds."""

    text: str
    tokens: int
    total_ms: int
    load_ms: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer; the last one brings the figures, in milliseconds and tokens."""

    text: str
    last: bool = False
    cut: bool = False
    tokens: int = 0
    prompt_tokens: int = 0
    load_ms: int = 0
    rate: float = 0


def piece(part: dict[str, Any]) -> Piece:
    """One line of a streamed answer."""
    message = part.get("message")
    text = str(message.get("content") or "") if isinstance(message, dict) else ""
    if not part.get("done"):
        return Piece(text)
    tokens, spent = int(part.get("eval_count") or 0), int(part.get("eval_duration") or 0)
    return Piece(
        text,
        last=True,
        cut=part.get("done_reason") == "length",
        tokens=tokens,
        prompt_tokens=int(part.get("prompt_eval_count") or 0),
        load_ms=int(part.get("load_duration") or 0) // 1_000_000,
        rate=round(tokens / spent * 1e9, 1) if spent else 0,
    )


@dataclass(frozen=True, slots=True)
class Loaded:
    name: str
    size: int
    size_vram: int
    expires_at: str = field(default="")


@dataclass(frozen=True, slots=True)
class House:
    """Whether the node can pass requests on to a vendor. `cloud_off` None: it does not say.
    `ahead_s`: by how many seconds its clock is ahead of ours; None when it does not say."""

    cloud_off: bool | None
    remote: list[str]
    ahead_s: float | None = None


def content(modelfile: str) -> str:
    """A digest of what the model is made of: without the node's own paths and orders."""
    lines = [line for line in modelfile.splitlines() if line and not line.startswith("#")]
    blobs = [re.sub(r"^(FROM|ADAPTER) .*(sha256)[-:]([0-9a-f]{64})$", r"\1 \3", x) for x in lines]
    parameters = sorted(line for line in blobs if line.startswith("PARAMETER "))
    rest = [line for line in blobs if not line.startswith("PARAMETER ")]
    return hashlib.sha256("\n".join([*rest, *parameters]).encode()).hexdigest() if lines else ""


def adapter(modelfile: str) -> str:
    """The digest of the adapter that a model is made with, in hex; empty without one."""
    found = re.search(r"^ADAPTER .*sha256[-:]([0-9a-f]{64})$", modelfile, re.MULTILINE)
    return found[1] if found else ""


def ahead(date: str) -> float | None:
    """By how many seconds the clock that wrote an HTTP date is ahead of ours."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return None


def is_remote(model: dict[str, Any]) -> bool:
    name = str(model.get("name", ""))
    return bool(model.get("remote_host")) or name.endswith((":cloud", "-cloud"))


def sha256_of(path: Path, progress: Callable[[int, int], None] = lambda _d, _t: None) -> str:
    """The digest of a file in hex, read block by block; progress may raise to stop."""
    sha, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            sha.update(block)
            done += len(block)
            progress(done, total)
    return sha.hexdigest()
