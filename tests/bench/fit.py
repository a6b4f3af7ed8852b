"""What a model needs against what real runners take: `make bench-fit` prints the table of the docs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from console.embedded import ollama as engine
from console.embedded.installation import Installation
from deployments import fit
from tests import runners
from tests.fleet import MODEL, RealNode
from tests.model_files import smollm2_f16

CONTEXTS = (512, 1024, 2048, 4096, 8192)


def main() -> None:
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
