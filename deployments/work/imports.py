"""Making a model of uploaded files on a node: checksums, blobs, create; adapters are tried."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext_noop as _

from access.said import Text, quote, say
from deployments import fleet, inbox, ollama
from deployments.lease import Lease
from deployments.models import Upload, UploadState
from deployments.work.models import asked, node_of, record

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
    api = fleet.api(node)
    lease.step("check", asked(api))
    for part in parts:
        if not part.path.is_file():
            raise ollama.OllamaError(
                say(_("The file %(name)s is no longer there."), name=part.name)
            )
    lease.step("verify")
    digests = {part.name: _verified(lease, part) for part in parts}
    lease.step("upload")
    for part in parts:
        lease.note(f"{part.name} {digests[part.name]}")
        api.upload(part.path, lease.progress, digests[part.name])
    quantize = upload.quantize if upload is not None else ""
    lease.step("make", say(_("quantize to %(kind)s"), kind=quantize) if quantize else "")
    if upload is not None and upload.base:
        _with_adapter(lease, api, upload, digests)
    else:
        _follow(lease, api.create(name, files=digests, quantize=quantize))
    record(lease, node)
    if upload is not None:
        Upload.objects.filter(pk=upload.pk).update(state=UploadState.IMPORTED)
        inbox.forget(upload)


def import_cancelled(lease: Lease) -> Text:
    """The node may still have made the tag when we hung up: nobody asks for it any more. The tag
    of an upload was not there before (begin_upload), so nothing else is taken away."""
    node = lease.operation.node
    if node is None or "upload" not in lease.operation.arguments:
        return ""
    if lease.operation.step not in ("make", "load"):
        return ""
    api, name = fleet.api(node), str(lease.operation.arguments["name"])
    lease.note("", step="stopping")
    try:
        for _look in range(LOOKS):
            if api.delete(name):
                lease.note(say(_("The node had made %(name)s; it is deleted again."), name=name))
                return ""
            time.sleep(1)
    except ollama.OllamaError as error:
        return error.text
    lease.note(
        say(_("The node has not made it. Should it do so later, it can be deleted on its page."))
    )
    return ""


def _follow(lease: Lease, steps: ollama.Steps) -> None:
    status = ""
    for progress in lease.follow(steps):
        lease.progress(progress.done, progress.total)
        if progress.status != status:
            status = progress.status
            lease.note(quote(status))


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
            say(
                _(
                    "The node cannot use this adapter with %(base)s; it may be for another model: "
                    "%(reason)s"
                ),
                base=upload.base,
                reason=error.text,
            )
        ) from error


def _verified(lease: Lease, part: Part) -> str:
    found = ollama.sha256_of(part.path, lease.progress)
    if part.expected and found != part.expected:
        raise ollama.OllamaError(
            say(
                _(
                    "%(name)s arrived damaged: its SHA-256 is %(found)s, not %(expected)s. "
                    "Send it again."
                ),
                name=part.name,
                found=found,
                expected=part.expected,
            )
        )
    return f"sha256:{found}"


def _upload(lease: Lease) -> Upload | None:
    pk = lease.operation.arguments.get("upload")
    if pk is None:
        return None
    upload = Upload.objects.filter(pk=pk).first()
    if upload is None or upload.state != UploadState.COMPLETE:
        raise ollama.OllamaError(say(_("The uploaded files are no longer there. Send them again.")))
    return upload


def _parts(lease: Lease, upload: Upload | None) -> list[Part]:
    if upload is None:
        path = Path(lease.operation.arguments["path"])
        return [Part(path.name, path)]
    return [
        Part(file.name, inbox.path_of(file), file.sha256)
        for file in upload.files.select_related("upload")
    ]
