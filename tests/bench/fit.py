"""What a model needs against what real runners take: `make bench-fit` prints the table of the docs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from console.embedded import ollama as engine
from console.embedded.installation import Installation
from deployments import fit, ollama
from tests import runners
from tests.fleet import MODEL, RealNode
from tests.model_files import smollm2_f16

CONTEXTS = (512, 1024, 2048, 4096, 8192)


def main() -> None:
    """Here, or with NODE=http://… MODEL=… on a node with a GPU: there its own figure of the
    memory of the GPU stands beside the estimate."""
    if url := os.environ.get("NODE"):
        _elsewhere(ollama.Node(url), os.environ.get("MODEL", MODEL))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        installation = Installation(folder / "engine")
        installation.create()
        node = RealNode("fit", folder, engine.from_wheel(installation))
        node.start()
        try:
            _table(node, folder)
        finally:
            node.stop()


def _table(node: RealNode, folder: Path) -> None:
    node.bring_model()
    path = smollm2_f16(folder)
    digest = node.api.upload(path, lambda _done, _total: None)
    list(node.api.create_from_file("smollm2:f16", path.name, digest))
    for tag in (MODEL, "smollm2:f16"):
        told, size = runners.facts(node.api, tag)
        assert told.shape is not None
        for context in CONTEXTS:
            seen = runners.measure(node, tag, context)
            need = fit.need(told.shape, size, context, parallel=seen.parallel, prompt=8)
            off = (need.total / seen.resident - 1) * 100
            print(
                f"fit {tag} context {context}: estimate {need.total / 1e6:.0f} MB, resident "
                f"{seen.resident / 1e6:.0f} MB, ps {seen.ps / 1e6:.0f} MB, off by {off:+.0f} %",
                flush=True,
            )


def _elsewhere(api: ollama.Node, tag: str) -> None:
    told, size = runners.facts(api, tag)
    assert told.shape is not None, f"{tag} tells too little of itself"
    for context in CONTEXTS:
        with api._client(600) as client:
            options = {"num_ctx": context, "num_predict": 4, "temperature": 0}
            client.generate(model=tag, prompt="The capital of France?", options=options)
        seen = next(m for m in api.loaded() if m.name.removesuffix(":latest") == tag)
        need = fit.need(told.shape, size, context, prompt=8).total
        gpu = f"{seen.size_vram / 1e6:.0f} MB" if seen.size_vram else "none"
        off = f", off by {(need / seen.size_vram - 1) * 100:+.0f} %" if seen.size_vram else ""
        print(
            f"fit {tag} context {context}: estimate {need / 1e6:.0f} MB, "
            f"size_vram {gpu}{off}, ps {seen.size / 1e6:.0f} MB",
            flush=True,
        )
        api.unload(tag)
