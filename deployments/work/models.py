"""Bringing a model to a node: from a file of ours, or pulled by the node itself."""

from __future__ import annotations

from pathlib import Path

from deployments import fleet, ollama
from deployments.lease import Lease
from deployments.models import Node


def import_model(lease: Lease) -> None:
    """Send a GGUF file as a blob and make a model of it. A blob the node has is not sent again."""
    node, name = _node(lease), str(lease.operation.arguments["name"])
    path = Path(lease.operation.arguments["path"])
    api = ollama.Node(node.url)
    lease.step("check", f"Ollama {api.version()} at {node.url}")
    if not path.is_file():
        raise ollama.OllamaError(f"The file {path.name} is no longer there.")
    lease.step("upload", path.name)
    digest = api.upload(path, lease.progress)
    lease.step("create", digest)
    for progress in api.create_from_file(name, path.name, digest):
        lease.check()
        lease.note(progress.status)
    _record(lease, node)


def pull_model(lease: Lease) -> None:
    """Have the node pull; what it has already is kept, so that a second try resumes."""
    node, name = _node(lease), str(lease.operation.arguments["name"])
    api = ollama.Node(node.url)
    lease.step("check", f"Ollama {api.version()} at {node.url}")
    lease.step("pull", name)
    status = ""
    for progress in api.pull(name):
        lease.progress(progress.done, progress.total)
        if progress.status != status:
            status = progress.status
            lease.note(status)
    _record(lease, node)


def undo(lease: Lease) -> None:
    """Nothing to undo: a part of a model in the node's store is no model and is resumed later."""


def _record(lease: Lease, node: Node) -> None:
    lease.step("record")
    fleet.check(node)


def _node(lease: Lease) -> Node:
    node = lease.operation.node
    if node is None:
        raise ollama.OllamaError("The node has been removed meanwhile.")
    return node
