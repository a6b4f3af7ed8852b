"""SmolLM2 as its makers publish it, safetensors and JSON files, made from the GGUF of the tests."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

ALIGNMENT = 32
SIMPLE = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q",
          11: "<q", 12: "<d"}  # fmt: skip
TEXT, LIST = 8, 9
F32, F16 = 0, 1
NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip


def safetensors(gguf: Path, folder: Path) -> list[Path]:
    """config.json, tokenizer.json and model.safetensors of a llama in F16."""
    folder.mkdir(parents=True, exist_ok=True)
    with gguf.open("rb") as file:
        facts, tensors, begin = _header(file)
        heads = {"attn_q": facts["llama.attention.head_count"],
                 "attn_k": facts["llama.attention.head_count_kv"]}  # fmt: skip
        entries: dict[str, object] = {}
        at = 0
        for name, shape, kind, _offset in tensors:
            size = _size(shape, kind)
            dtype = "F16" if kind == F16 else "F32"
            entries[_published(name)] = {
                "dtype": dtype, "shape": shape, "data_offsets": [at, at + size],
            }  # fmt: skip
            at += size
        header = json.dumps(entries).encode()
        weights = folder / "model.safetensors"
        with weights.open("wb") as out:
            out.write(struct.pack("<Q", len(header)) + header)
            for name, shape, kind, offset in tensors:
                file.seek(begin + offset)
                data = file.read(_size(shape, kind))
                part = name.split(".")[-2]
                out.write(b"".join(_rows(data, shape, heads[part])) if part in heads else data)
    return [_config(facts, folder), _tokenizer(facts, folder), weights]


def _rows(data: bytes, shape: list[int], heads: int) -> Iterator[bytes]:
    """GGUF pairs the halves of each head row by row; published weights keep them apart."""
    rows, width = shape[0], shape[1] * 2
    size = rows // heads
    for head in range(heads):
        for side in range(2):
            for row in range(size // 2):
                start = (head * size + 2 * row + side) * width
                yield data[start : start + width]


def _published(name: str) -> str:
    if name.startswith("blk."):
        _blk, layer, part, _weight = name.split(".")
        return f"model.layers.{layer}.{NAMES[part]}.weight"
    ends = {"token_embd": "embed_tokens", "output_norm": "norm"}
    return f"model.{ends[name.split('.', maxsplit=1)[0]]}.weight"


def _config(facts: dict[str, Any], folder: Path) -> Path:
    path = folder / "config.json"
    value = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float16",
        "vocab_size": len(facts["tokenizer.ggml.tokens"]),
        "hidden_size": facts["llama.embedding_length"],
        "intermediate_size": facts["llama.feed_forward_length"],
        "num_hidden_layers": facts["llama.block_count"],
        "num_attention_heads": facts["llama.attention.head_count"],
        "num_key_value_heads": facts["llama.attention.head_count_kv"],
        "max_position_embeddings": facts["llama.context_length"],
        "rms_norm_eps": facts["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": facts["llama.rope.freq_base"],
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
    }
    path.write_text(json.dumps(value))
    return path


def _tokenizer(facts: dict[str, Any], folder: Path) -> Path:
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    special = [n for n, kind in enumerate(kinds) if kind == 3]
    value = {
        "version": "1.0",
        "added_tokens": [{"id": n, "content": tokens[n], "special": True} for n in special],
        "model": {
            "type": "BPE",
            "vocab": {token: n for n, token in enumerate(tokens)},
            "merges": facts["tokenizer.ggml.merges"],
        },
    }
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(value))
    return path


def _header(file: BinaryIO) -> tuple[dict[str, Any], list[tuple[str, list[int], int, int]], int]:
    """The facts, the tensors as (name, shape with rows first, type, offset), where data begins."""
    _magic, _version, tensors, pairs = struct.unpack("<IIQQ", file.read(24))
    facts = {_text(file): _value(file, *struct.unpack("<I", file.read(4))) for _ in range(pairs)}
    found = []
    for _ in range(tensors):
        name = _text(file)
        (dimensions,) = struct.unpack("<I", file.read(4))
        shape = list(struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions)))[::-1]
        kind, offset = struct.unpack("<IQ", file.read(12))
        found.append((name, shape, kind, offset))
    return facts, found, -(-file.tell() // ALIGNMENT) * ALIGNMENT


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == TEXT:
        return _text(file)
    if kind == LIST:
        inner, count = struct.unpack("<IQ", file.read(12))
        return [_value(file, inner) for _ in range(count)]
    form = SIMPLE[kind]
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def _text(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    return file.read(length).decode("utf-8", "replace")


def _size(shape: list[int], kind: int) -> int:
    size = 2 if kind == F16 else 4
    for count in shape:
        size *= count
    return size
