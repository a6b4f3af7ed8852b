"""Will it fit? The memory that a model needs, by arithmetic from its own facts. Pure; all in bytes.

    weights + KV cache + the program + work on prompts

The cache holds a key and a value for each token, layer and key/value head, for as many requests at
once as the server takes. Work is what attention needs while prompts are read, where the server has
no flash attention. `PROGRAM` and `WORK` were measured on real runners: docs/performance.md has the
table. Models with a sliding window need less than this says, never more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# Bytes a number of the cache takes, by OLLAMA_KV_CACHE_TYPE (ggml's blocks of 32).
CACHE_TYPES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
# Bits a weight takes, a whole model's average (llama.cpp, tools/quantize).
QUANTIZATIONS = {"Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q4_K_M": 4.9, "Q3_K_M": 3.9}
BATCH = 512  # tokens of a prompt that are read at once
PROGRAM = 72_000_000  # the runner itself, its libraries and tables
WORK = 6.0  # scores in 32 bits, and half of them again
LEAST_CONTEXT = 512
# Above this share of what is free it fits, but little else will.
TIGHT = 0.85


@dataclass(frozen=True, slots=True)
class Shape:
    """What the arithmetic needs of a model. `kv_heads` over all layers; `key` and `value` are the
    sizes of one head; `parameters` counts weights."""

    layers: int
    heads: int
    kv_heads: int
    key: int
    value: int
    embedding: int
    feed_forward: int
    parameters: int = 0

    def as_json(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Need:
    """The sum and its parts, in bytes; what they were reckoned for."""

    weights: int
    cache: int
    program: int
    work: int
    context: int
    parallel: int
    token: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.program + self.work


def shape_of(facts: Mapping[str, Any]) -> Shape | None:
    """Of GGUF's metadata as Ollama's `show` gives it; None when something is missing or absurd."""
    kind = str(facts.get("general.architecture") or "")

    def number(name: str, otherwise: int = 0) -> int:
        value = facts.get(f"{kind}.{name}")
        return value if type(value) is int and 0 < value < 2**40 else otherwise

    layers, heads = number("block_count"), number("attention.head_count")
    embedding = number("embedding_length")
    if not (layers and heads and embedding):
        return None
    each = facts.get(f"{kind}.attention.head_count_kv")
    if isinstance(each, list) and each and all(type(n) is int for n in each):
        kv_heads = sum(each)
    else:
        kv_heads = layers * number("attention.head_count_kv", heads)
    size = max(1, embedding // heads)
    return Shape(
        layers,
        heads,
        kv_heads,
        number("attention.key_length", size),
        number("attention.value_length", size),
        embedding,
        number("feed_forward_length", 4 * embedding),
        facts["general.parameter_count"]
        if type(facts.get("general.parameter_count")) is int
        else 0,
    )


def token_bytes(shape: Shape, cache_type: str = "f16") -> int:
    """What one token of context takes in the cache."""
    return math.ceil(shape.kv_heads * (shape.key + shape.value) * CACHE_TYPES[cache_type])


def need(
    shape: Shape,
    weights: int,
    context: int,
    *,
    parallel: int = 1,
    cache_type: str = "f16",
    prompt: int | None = None,
) -> Need:
    """For `context` tokens each of `parallel` requests at once, with `weights` bytes of file.

    `prompt`: how many tokens of prompts are read; all that the context holds when not given.
    """
    token = token_bytes(shape, cache_type)
    held = context * parallel
    read = held if prompt is None else prompt
    layer = BATCH * 4 * (4 * shape.embedding + 3 * shape.feed_forward)
    return Need(
        weights=weights,
        cache=held * token,
        program=PROGRAM + layer,
        work=int(read * BATCH * shape.heads * WORK),
        context=context,
        parallel=parallel,
        token=token,
    )


def largest_context(
    shape: Shape, weights: int, free: int, most: int, *, parallel: int = 1, cache_type: str = "f16"
) -> int | None:
    """The largest power of two of context that fits into `free`; None when none does."""
    fitting = None
    context = LEAST_CONTEXT
    while context <= most:
        if need(shape, weights, context, parallel=parallel, cache_type=cache_type).total > free:
            break
        fitting, context = context, context * 2
    return fitting


def smaller_quantization(
    shape: Shape,
    weights: int,
    free: int,
    context: int,
    *,
    parallel: int = 1,
    cache_type: str = "f16",
) -> str | None:
    """The best quantization smaller than this one with which the context fits; None when none."""
    for name, bits in QUANTIZATIONS.items():
        smaller = int(shape.parameters * bits / 8)
        asked = need(shape, smaller, context, parallel=parallel, cache_type=cache_type)
        if 0 < smaller < weights and asked.total <= free:
            return name
    return None
