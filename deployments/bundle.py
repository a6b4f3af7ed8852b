"""Bundles: a model as one signed file for sites without a network.

A tar of `bundle.json`, `bundle.sig` and `blobs/sha256-…`, in this order. The signature is checked
before the first blob is read, every blob before anything is given to a node.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.utils.translation import gettext_noop as _

from access.said import Said, quote, say

FORMAT = "fusebox-model-bundle/1"
CONTEXT = b"fusebox-model-bundle/1\n"
MAX_HEAD = 1024 * 1024
MAX_BLOBS = 64
BLOCK = 1024 * 1024
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Bad(Exception):
    """A bundle that is not to be trusted or is damaged; the text says why."""

    def __init__(self, text: Said) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return str(self.text)


@dataclass(frozen=True, slots=True)
class Head:
    """What a bundle says of itself, once its signature is known to be good."""

    tag: str
    manifest: dict[str, Any]
    blobs: dict[str, int]
    signer: str


def own_key() -> Ed25519PrivateKey:
    """The key that signs here; made when it is first needed, readable by its owner only."""
    path: Path = settings.BUNDLE_KEY
    if not path.exists():
        made = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(made)
        try:
            os.link(part, path)  # whoever was first has made it
        except FileExistsError:
            pass
        finally:
            part.unlink()
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise Bad(say(_("%(path)s is no Ed25519 key."), path=path))
    return key


def public_text(key: Ed25519PublicKey) -> str:
    """A public key as people pass it on."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def write(folder: Path, tag: str, output: Path) -> str:
    """Put what a node pushed into `folder` into one signed file; returns the signer."""
    manifest = json.loads((folder / "manifest").read_bytes())
    blobs = {entry["digest"]: int(entry["size"]) for entry in _entries(manifest)}
    for digest, size in blobs.items():
        if (folder / digest.replace(":", "-")).stat().st_size != size:
            raise Bad(
                say(_("%(digest)s is not of the size that the manifest says."), digest=digest)
            )
    head = json.dumps(
        {
            "format": FORMAT,
            "tag": tag,
            "created_at": datetime.now(UTC).isoformat(),
            "origin": settings.FUSEBOX_LOG_ORIGIN,
            "manifest": manifest,
            "blobs": blobs,
        },
        sort_keys=True,
    ).encode()
    key = own_key()
    signer = public_text(key.public_key())
    signature = base64.b64encode(key.sign(CONTEXT + head)).decode()
    part = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
            _add(tar, "bundle.json", head)
            _add(tar, "bundle.sig", json.dumps({"key": signer, "signature": signature}).encode())
            for digest in blobs:
                name = digest.replace(":", "-")
                tar.add(folder / name, f"blobs/{name}", recursive=False, filter=_plain)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return signer


def read(path: Path, folder: Path, *, trust: str = "") -> Head:
    """Check a bundle from end to end and unpack it into `folder`. Raises Bad."""
    try:
        with tarfile.open(path, "r:") as tar:
            head = _head(tar, {public_text(own_key().public_key()), *settings.BUNDLE_TRUST, trust})
            left = dict(head.blobs)
            while (member := tar.next()) is not None:
                _unpack(tar, member, left, folder)
    except (tarfile.TarError, EOFError, OverflowError) as error:
        raise Bad(
            say(_("This is no bundle, or it is damaged: %(reason)s"), reason=quote(error))
        ) from error
    if left:
        raise Bad(
            say(
                _("%(missing)d of %(all)d parts are missing."),
                missing=len(left),
                all=len(head.blobs),
            )
        )
    (folder / "manifest").write_text(json.dumps(head.manifest, separators=(",", ":")))
    return head


def _head(tar: tarfile.TarFile, trusted: set[str]) -> Head:
    text = _small(tar, "bundle.json")
    try:
        seal = json.loads(_small(tar, "bundle.sig"))
        signer, signature = str(seal["key"]), base64.b64decode(seal["signature"], validate=True)
        if not signer or signer not in trusted:
            raise Bad(
                say(
                    _(
                        "It is signed by %(signer)s, whom nobody here trusts. If you know this "
                        "key, give it with --trust or FUSEBOX_BUNDLE_TRUST."
                    ),
                    signer=signer[:60],
                )
            )
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signer, validate=True))
        key.verify(signature, CONTEXT + text)
        head = json.loads(text)
        if head["format"] != FORMAT:
            raise Bad(say(_("It is of another format.")))
        manifest = head["manifest"]
        blobs = {str(entry["digest"]): int(entry["size"]) for entry in _entries(manifest)}
        if blobs != head["blobs"] or not 0 < len(blobs) <= MAX_BLOBS:
            raise Bad(say(_("Its list of parts is not that of its manifest.")))
        return Head(str(head["tag"]), manifest, blobs, signer)
    except InvalidSignature as error:
        raise Bad(say(_("Its signature is wrong: it was changed after it was signed."))) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Bad(say(_("Its description cannot be read."))) from error


def _entries(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    entries = [manifest["config"], *manifest["layers"]]
    for entry in entries:
        if not DIGEST.fullmatch(str(entry["digest"])) or int(entry["size"]) < 0:
            raise Bad(say(_("Its manifest names a part wrongly.")))
    return entries


def _unpack(
    tar: tarfile.TarFile, member: tarfile.TarInfo, left: dict[str, int], folder: Path
) -> None:
    digest = member.name.removeprefix("blobs/").replace("-", ":", 1)
    if not member.isreg() or member.name != f"blobs/{digest.replace(':', '-')}":
        raise Bad(say(_("It holds something that is no part of a model.")))
    if left.pop(digest, None) != member.size:
        raise Bad(say(_("A part is there twice, was not announced, or is not of its size.")))
    source, sha = tar.extractfile(member), hashlib.sha256()
    if source is None:
        raise Bad(say(_("A part cannot be read.")))
    with (folder / digest.replace(":", "-")).open("xb") as out:
        while block := source.read(BLOCK):
            sha.update(block)
            out.write(block)
    if f"sha256:{sha.hexdigest()}" != digest:
        raise Bad(say(_("A part is damaged: its checksum is another.")))


def _small(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.next()
    if member is None or member.name != name or not member.isreg() or member.size > MAX_HEAD:
        raise Bad(say(_("This is no bundle: %(name)s is not where it belongs."), name=name))
    source = tar.extractfile(member)
    return source.read() if source else b""


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nothing of the machine that wrote it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode, member.mtime = 0o644, 0
    return member
