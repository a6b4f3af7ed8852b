"""Making a model of uploaded files on a node: checksums, blobs, create; adapters are tried."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from deployments import inbox, ollama
from deployments.lease import Lease
from deployments.models import Upload, UploadState
from deployments.work.models import node_of, record

LOOKS = 5


@dataclass(frozen=True, slots=True)
class Part:
    """A file on its way: the name that the node reads it by, and what it must hash to."""

    name: str
    path: Path
    expected: str = ""


def import_model(lease: Lease) -> None:
    """Send files as blobs and make a model of them. A blob the node has is not sent again."""
    node, name = node_of(lease), str(lease.operation.arguments["name"])
    upload = _upload(lease)
    parts = _parts(lease, upload)
    api = ollama.Node(node.url)
    lease.step("check", f"Ollama {api.version()} at {node.url}")
    for part in parts:
        if not part.path.is_file():
            raise ollama.OllamaError(f"The file {part.name} is no longer there.")
    lease.step("verify")
    digests = {part.name: _verified(lease, part) for part in parts}
    lease.step("upload")
    for part in parts:
        lease.note(f"{part.name} {digests[part.name]}")
        api.upload(part.path, lease.progress, digests[part.name])
    lease.step("make", f"quantize to {upload.quantize}" if upload and upload.quantize else "")
    if upload is not None and upload.base:
        _with_adapter(lease, api, upload, digests)
    else:
        quantize = upload.quantize if upload is not None else ""
        _follow(lease, api.create(name, files=digests, quantize=quantize))
    record(lease, node)
    if upload is not None:
        Upload.objects.filter(pk=upload.pk).update(state=UploadState.IMPORTED)
        inbox.forget(upload)


def import_cancelled(lease: Lease) -> str:
    """The node may still have made the tag when we hung up: nobody asks for it any more. The tag
    of an upload was not there before (begin_upload), so nothing else is taken away."""
    node = lease.operation.node
    if node is None or "upload" not in lease.operation.arguments:
        return ""
    if lease.operation.step not in ("make", "load"):
        return ""
    api, name = ollama.Node(node.url), str(lease.operation.arguments["name"])
    lease.note("", step="stopping")
    try:
        for _look in range(LOOKS):
            if api.delete(name):
                lease.note(f"The node had made {name}; it is deleted again.")
                return ""
            time.sleep(1)
    except ollama.OllamaError as error:
        return str(error)
    lease.note("The node has not made it. Should it do so later, it can be deleted on its page.")
    return ""


def _follow(lease: Lease, steps: ollama.Steps) -> None:
    status = ""
    for progress in lease.follow(steps):
        lease.progress(progress.done, progress.total)
        if progress.status != status:
            status = progress.status
            lease.note(status)


def _try_adapter(lease: Lease, api: ollama.Node, name: str) -> None:
    """An adapter for another base is sometimes found out only when it is loaded."""
    lease.step("load")
    try:
        lease.call(lambda: api.load(name))
        lease.call(lambda: api.unload(name))
    except ollama.OllamaError:
        api.delete(name)
        raise


def _with_adapter(lease: Lease, api: ollama.Node, upload: Upload, digests: dict[str, str]) -> None:
    try:
        _follow(lease, api.create(upload.name, base=upload.base, adapters=digests))
        _try_adapter(lease, api, upload.name)
    except ollama.Refused as error:
        raise ollama.Refused(
            f"The node cannot use this adapter with {upload.base}; it may be for another model: "
            f"{error}"
        ) from error


def _verified(lease: Lease, part: Part) -> str:
    found = ollama.sha256_of(part.path, lease.progress)
    if part.expected and found != part.expected:
        raise ollama.OllamaError(
            f"{part.name} arrived damaged: its SHA-256 is {found}, not {part.expected}. "
            "Send it again."
        )
    return f"sha256:{found}"


def _upload(lease: Lease) -> Upload | None:
    pk = lease.operation.arguments.get("upload")
    if pk is None:
        return None
    upload = Upload.objects.filter(pk=pk).first()
    if upload is None or upload.state != UploadState.COMPLETE:
        raise ollama.OllamaError("The uploaded files are no longer there. Send them again.")
    return upload


def _parts(lease: Lease, upload: Upload | None) -> list[Part]:
    if upload is None:
        path = Path(lease.operation.arguments["path"])
        return [Part(path.name, path)]
    return [
        Part(file.name, inbox.path_of(file), file.sha256)
        for file in upload.files.select_related("upload")
    ]
