"""Verbs on uploads: begin, append, finish (which hands over to an import), discard."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from deployments import headers, inbox
from deployments.actions.operations import enqueue
from deployments.model_names import valid_model_name
from deployments.models import (
    UNDER_WAY,
    Node,
    Operation,
    OperationKind,
    StoredModel,
    Upload,
    UploadedFile,
    UploadState,
)

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,118}\.(gguf|safetensors|json|txt|model|jinja)")
SHA256 = re.compile(r"[0-9a-f]{64}")
QUANTIZATIONS = ("q8_0", "q4_K_M", "q4_K_S")
MAX_FILES = 64
MAX_SMALL_FILE = 64 * 1024 * 1024
MAX_CHUNK = 4 * 1024 * 1024
MAX_OPEN = 20


def begin_upload(
    *,
    actor: Actor,
    node: Node,
    name: str,
    files: Sequence[dict[str, Any]],
    quantize: str = "",
    base: str = "",
) -> Upload:
    """Announce files {name, size, sha256?}: a GGUF, safetensors with their JSON, or an adapter for
    the stored model `base`. Their bytes follow by `append`."""
    policy.require(actor, Act.MODEL_UPLOAD, node.pk)
    name = valid_model_name(name)
    checked = [_valid_file(file) for file in files]
    _check_together(checked)
    if quantize and quantize not in QUANTIZATIONS:
        raise Invalid(_("This quantization is not known."), field="quantize")
    with transaction.atomic():
        _check_target(node, name, base, checked)
        if Upload.objects.filter(state=UploadState.OPEN).count() >= MAX_OPEN:
            raise WrongState(_("Too many uploads are open. Finish or discard one first."))
        upload = Upload.objects.create(
            name=name,
            node=node,
            base=base,
            quantize=quantize,
            created_by_id=None if actor.is_system else actor.id,
        )
        UploadedFile.objects.bulk_create(UploadedFile(upload=upload, **file) for file in checked)
        log.record(
            actor,
            Act.MODEL_UPLOAD,
            upload.as_obj(),
            node.as_obj(),
            details={"files": len(checked), "bytes": sum(f["size"] for f in checked)},
        )
    return upload


def append(*, actor: Actor, file: UploadedFile, offset: int, chunk: bytes) -> UploadedFile:
    """Add the next bytes of a file. Only at the place where it ends: so it can be resumed."""
    policy.require(actor, Act.MODEL_UPLOAD, file.upload_id)
    if not 0 < len(chunk) <= MAX_CHUNK:
        raise Invalid(_("A chunk has 1 to %(most)d bytes.") % {"most": MAX_CHUNK}, field="chunk")
    with transaction.atomic():
        locked = UploadedFile.objects.select_for_update(of=("self",)).select_related("upload")
        file = locked.get(pk=file.pk)
        if file.upload.state != UploadState.OPEN:
            raise WrongState(_("This upload has ended."))
        if offset != file.received:
            raise WrongState(
                _("The next byte of %(file)s is %(received)d.")
                % {"file": file.name, "received": file.received}
            )
        if offset + len(chunk) > file.size:
            raise Invalid(_("This is more than was announced."), field="chunk")
        _write(file, offset, chunk)
        file.received += len(chunk)
        file.save(update_fields=["received"])
        Upload.objects.filter(pk=file.upload_id).update(touched_at=timezone.now())
    return file


def finish_upload(*, actor: Actor, upload: Upload) -> Operation:
    """Look into the files and hand them to an import. Files that lie are refused."""
    policy.require(actor, Act.MODEL_IMPORT, upload.pk)
    with transaction.atomic():
        locked = Upload.objects.select_for_update().get(pk=upload.pk)
        if locked.state != UploadState.OPEN:
            raise WrongState(_("This upload has ended."))
        files = list(locked.files.select_related("upload"))
        for file in files:
            if file.received != file.size:
                raise WrongState(
                    _("Of %(file)s, %(left)d bytes are still missing.")
                    % {"file": file.name, "left": file.size - file.received}
                )
            _look_into(file)
        locked.state = UploadState.COMPLETE
        locked.save(update_fields=["state"])
        operation = enqueue(
            actor,
            OperationKind.IMPORT,
            locked.name,
            node=locked.node,
            arguments={"name": locked.name, "upload": str(locked.pk)},
        )
        log.record(actor, Act.MODEL_IMPORT, operation.as_obj(), locked.node.as_obj())
    return operation


def discard_upload(*, actor: Actor, upload: Upload) -> None:
    """Throw the files away. Not while an import reads them."""
    policy.require(actor, Act.MODEL_UPLOAD, upload.pk)
    with transaction.atomic():
        locked = Upload.objects.select_for_update().get(pk=upload.pk)
        busy = Operation.objects.filter(
            arguments__upload=str(locked.pk),
            state__in=UNDER_WAY,
        )
        if busy.exists():
            raise WrongState(_("An import is reading these files; cancel it first."))
        if locked.state in (UploadState.IMPORTED, UploadState.DISCARDED):
            return
        locked.state = UploadState.DISCARDED
        locked.save(update_fields=["state"])
        log.record(actor, Act.MODEL_UPLOAD, locked.as_obj(), outcome="aborted", reason="discarded")
        transaction.on_commit(lambda: inbox.forget(locked))


def discard_stale_uploads(*, actor: Actor) -> int:
    """Throw away what nobody went on with for FUSEBOX_UPLOAD_KEEP_HOURS."""
    policy.require(actor, Act.MODEL_UPLOAD)
    late = timezone.now() - timedelta(hours=settings.UPLOAD_KEEP_HOURS)
    stale = Upload.objects.filter(
        state__in=[UploadState.OPEN, UploadState.COMPLETE], touched_at__lt=late
    )
    count = 0
    for upload in stale[:100]:
        try:
            discard_upload(actor=actor, upload=upload)
            count += 1
        except WrongState:
            continue
    return count


def _valid_file(file: dict[str, Any]) -> dict[str, Any]:
    name, size, sha256 = str(file.get("name", "")), file.get("size"), file.get("sha256") or ""
    if not FILE_NAME.fullmatch(name) or ".." in name:
        raise Invalid(
            _(
                "The file name %(name)s cannot be taken: letters, digits and . _ - only, ending in "
                ".gguf, .safetensors, .json, .txt, .model or .jinja."
            )
            % {"name": ascii(name[:80])},
            field="files",
        )
    if type(size) is not int or size < 1:
        raise Invalid(_("%(name)s is empty.") % {"name": name}, field="files")
    if not name.endswith((".gguf", ".safetensors")) and size > MAX_SMALL_FILE:
        raise Invalid(_("%(name)s is too large for its kind.") % {"name": name}, field="files")
    sha256 = str(sha256).strip().lower().removeprefix("sha256:")
    if sha256 and not SHA256.fullmatch(sha256):
        raise Invalid(_("A SHA-256 has 64 hexadecimal digits."), field="sha256")
    return {"name": name, "size": size, "sha256": sha256}


def _check_together(files: list[dict[str, Any]]) -> None:
    names = [file["name"] for file in files]
    total = sum(file["size"] for file in files)
    if not 0 < len(names) <= MAX_FILES or len({n.lower() for n in names}) != len(names):
        raise Invalid(_("Give 1 to 64 files, each with a name of its own."), field="files")
    ggufs = [n for n in names if n.endswith(".gguf")]
    weights = [n for n in names if n.endswith(".safetensors")]
    if not (len(ggufs) == 1 and len(names) == 1) and not (weights and not ggufs):
        raise Invalid(
            _("Give one GGUF file, or safetensors files with the JSON files beside them."),
            field="files",
        )
    if total > settings.UPLOAD_MAX_BYTES:
        raise Invalid(
            _("This is %(size)d GB; at most %(most)d GB are taken (FUSEBOX_UPLOAD_MAX_GB).")
            % {"size": total // 10**9, "most": settings.UPLOAD_MAX_BYTES // 10**9},
            field="files",
        )
    if not inbox.has_room(total):
        raise Invalid(_("The console's disk has no room for this."), field="files")


def _check_target(node: Node, name: str, base: str, files: list[dict[str, Any]]) -> None:
    if StoredModel.objects.filter(node=node, tag=name).exists():
        raise Invalid(
            _("%(node)s has a model of this name. Choose another, or delete that one.")
            % {"node": node},
            field="name",
        )
    is_adapter = any(file["name"] == "adapter_config.json" for file in files)
    if is_adapter != bool(base):
        raise Invalid(
            _("An adapter has an adapter_config.json and needs the model that it is for."),
            field="base",
        )
    if base and not StoredModel.objects.filter(node=node, tag=base).exists():
        raise Invalid(
            _("%(base)s is not stored on %(node)s.") % {"base": base, "node": node}, field="base"
        )


def _write(file: UploadedFile, offset: int, chunk: bytes) -> None:
    try:
        inbox.write(file, offset, chunk)
    except OSError as error:
        raise WrongState(
            _("The console cannot store it: %(reason)s") % {"reason": error.strerror}
        ) from error


def _look_into(file: UploadedFile) -> None:
    readers = {"gguf": headers.read_gguf, "safetensors": headers.read_safetensors}
    reader = readers.get(file.name.rpartition(".")[2])
    try:
        if reader is not None:
            reader(inbox.path_of(file))
    except headers.Lying as error:
        raise Invalid(
            _("%(file)s is damaged or no model: %(reason)s") % {"file": file.name, "reason": error},
            field="files",
        ) from error
    except OSError as error:
        raise WrongState(_("The file is no longer here; send it again.")) from error
