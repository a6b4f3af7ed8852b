"""Several real Ollama nodes of a run's own, that can be stopped, killed, held and started again."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from console.embedded import ollama as engine
from console.embedded import spawn, wheels
from console.embedded.installation import Installation
from deployments import ollama

MODEL = "smollm2:135m"


class RealNode:
    """One Ollama with a model folder of its own; it keeps its port when it is started again."""

    def __init__(self, name: str, folder: Path, built: engine.Own) -> None:
        installation = Installation(folder / name)
        installation.create()
        kept = {k: built.env[k] for k in ("LD_LIBRARY_PATH", "OLLAMA_NUM_GPU")}
        self.name = name
        self.log = installation.logs / "ollama.log"
        self._own = engine.Own(installation, built.command, kept)
        self.url = self._own.url
        self.api = ollama.Node(self.url)
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._child = self._own.start()
        if not spawn.wait_until(self._own.is_ready, self._child, 30):
            raise RuntimeError(self.log.read_text()[-2000:])

    def stop(self) -> None:
        if self._child is not None:
            spawn.stop(self._child, signal.SIGTERM, 10)
            self._child = None

    def kill(self) -> None:
        """SIGKILL for it and its runners, as when the machine loses power."""
        if self._child is not None:
            spawn.stop(self._child, signal.SIGKILL, 10)
            self._child = None

    def hold(self, number: signal.Signals) -> None:
        """SIGSTOP: it accepts connections and answers nothing; SIGCONT: it goes on."""
        assert self._child is not None
        self._child.send_signal(number)

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def is_running(self) -> bool:
        return self._child is not None

    def bring_model(self) -> None:
        path = wheels.model_file()
        assert path is not None, "the model's package is not installed"
        if self.api.digest_of(MODEL) is None:
            digest = self.api.upload(path, lambda _done, _total: None)
            list(self.api.create_from_file(MODEL, path.name, digest))

    def ours(self) -> set[str]:
        """The tags in our namespace."""
        return {tag.name for tag in self.api.tags() if tag.name.startswith("fusebox/")}

    def clean(self) -> None:
        if not self.is_running:
            self.start()
        # A runner may bear the name of a tag that is gone: asked by a name of the same weights.
        if self.api.loaded():
            self.api.unload(MODEL)
        for tag in self.ours():
            self.api.delete(tag)


def three(folder: Path, built: engine.Own) -> list[RealNode]:
    """Three nodes that run and store SmolLM2."""
    nodes = [RealNode(f"node-{letter}", folder, built) for letter in "abc"]
    for node in nodes:
        node.start()
        node.bring_model()
    return nodes
