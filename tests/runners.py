"""What a real runner of a real node takes of the machine's memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deployments import ollama
from tests.fleet import RealNode


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes: what the machine gave the runner, and what Ollama's `ps` says of it."""

    resident: int
    ps: int
    parallel: int


def measure(node: RealNode, tag: str, context: int) -> Measured:
    """Load `tag` with this context, ask it something short, and look."""
    with node.api._client(120) as client:
        options = {"num_ctx": context, "num_predict": 4, "temperature": 0}
        client.generate(model=tag, prompt="The capital of France?", options=options)
    loaded = next(m for m in node.api.loaded() if m.name.removesuffix(":latest") == tag)
    command, resident = _runner(node)
    at_once = int(command[command.index("--parallel") + 1]) if "--parallel" in command else 1
    node.api.unload(tag)
    return Measured(resident, loaded.size, at_once)


def _runner(node: RealNode) -> tuple[list[str], int]:
    """The newest child of the node's server: its command and its resident memory."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            facts = dict(
                line.split(":", 1) for line in status.read_text().splitlines() if ":" in line
            )
            command = status.with_name("cmdline").read_text().split("\0")
        except OSError:
            continue
        if int(facts["PPid"]) == node.pid and "runner" in command:
            found.append((int(facts["Pid"]), command, int(facts["VmRSS"].split()[0]) * 1024))
    assert found, "the node has no runner"
    _pid, command, resident = max(found)
    return command, resident


def facts(api: ollama.Node, tag: str) -> tuple[ollama.Facts, int]:
    """What the node tells of a model, and how many bytes it is."""
    return api.show(tag), next(t.size for t in api.tags() if t.name.startswith(tag))
