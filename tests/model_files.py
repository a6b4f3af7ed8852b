"""Files of models for tests: a quantizable F16 of SmolLM2, and LoRA adapters for and not for it."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
from array import array
from pathlib import Path

from console.embedded import wheels


def smollm2() -> Path:
    path = wheels.model_file()
    assert path is not None, "the model's package is not installed"
    return path


def smollm2_f16(folder: Path) -> Path:
    """SmolLM2 in F16, by the quantizer that came with the embedded Ollama."""
    source = wheels.ollama_folder()
    assert source is not None
    tools = folder / "tools"
    shutil.copytree(source.parent / "llama_cpp", tools)
    library, code = tools / "libggml-sycl.so", tools / "stand-in.c"
    library.unlink()
    code.write_text("void *ggml_backend_sycl_reg(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, code], check=True)
    program, target = tools / "llama-quantize", folder / "smollm2-f16.gguf"
    program.chmod(0o700)
    subprocess.run(
        [program, "--allow-requantize", smollm2(), target, "f16"],
        env={"LD_LIBRARY_PATH": f"{tools}:{wheels.shared_libraries()}"},
        check=True,
        capture_output=True,
    )
    return target


def adapter(folder: Path, *, hidden: int = 576, layers: int = 30) -> list[Path]:
    """A small random LoRA of rank 4 on the query projections; SmolLM2-135M is 576 wide."""
    folder.mkdir(parents=True, exist_ok=True)
    rank, rng = 4, random.Random(7)
    entries: dict[str, object] = {}
    data = b""
    for layer in range(layers):
        stem = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        for letter, shape in (("A", (rank, hidden)), ("B", (hidden, rank))):
            raw = array("f", (rng.gauss(0, 0.01) for _ in range(shape[0] * shape[1]))).tobytes()
            entries[f"{stem}.lora_{letter}.weight"] = {
                "dtype": "F32",
                "shape": shape,
                "data_offsets": [len(data), len(data) + len(raw)],
            }
            data += raw
    header = json.dumps(entries).encode()
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(struct.pack("<Q", len(header)) + header + data)
    config = folder / "adapter_config.json"
    config.write_text(
        json.dumps(
            {
                "peft_type": "LORA",
                "base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct",
                "r": rank,
                "lora_alpha": 8,
                "target_modules": ["q_proj"],
                "task_type": "CAUSAL_LM",
            }
        )
    )
    return [config, weights]
