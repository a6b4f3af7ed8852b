"""What a node says, typed, and how it can fail. Part of deployments.ollama, which is imported."""

from __future__ import annotations

from dataclasses import dataclass, field


class OllamaError(Exception):
    """A node did not do what it was asked; the text is fit to be shown."""


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
    """What `show` tells beyond the tag. `content`: the same for the same model on every node."""

    context_length: int | None
    capabilities: list[str]
    licence: str
    content: str = ""


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
class Loaded:
    name: str
    size: int
    size_vram: int
    expires_at: str = field(default="")


@dataclass(frozen=True, slots=True)
class House:
    """Whether the node can pass requests on to a vendor. `cloud_off` None: it does not say."""

    cloud_off: bool | None
    remote: list[str]
