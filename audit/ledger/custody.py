"""What only the sealer has: its keys, and its own record of the last head, on its own disk.

The record holds the compact range of everything sealed so far. The sealer extends that range and
nothing else, so it cannot sign a head that is inconsistent with the one before, whatever the
database says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.ledger.certificate import Certificate, NotTrusted, read_certificate, trusted
from audit.ledger.note import BadNote, Checkpoint, PublicKey, Signer, sign, signer_ids
from audit.ledger.tree import HASHERS, Edge

CERTIFICATE = "fusebox-certificate.txt"
Chain = Sequence[tuple[str, str]]


class CustodyBroken(RuntimeError):
    """The sealer's own files are unreadable or contradict each other; nothing is signed."""


@dataclass(slots=True)
class Head:
    """The sealer's record: which tree, the right edge of what is sealed, the last signed note.

    follows: of a tree that was begun after a rollback, what its first leaf says.
    """

    tree: int
    origin: str
    edge: Edge
    sealed_at: str
    note: str = ""
    follows: dict[str, Any] = field(default_factory=dict)
    stepped_from: str = ""

    def to_json(self) -> bytes:
        values = {
            "tree": self.tree,
            "origin": self.origin,
            "hash": self.edge.hasher.name,
            "size": self.edge.size,
            "edge": [value.hex() for value in self.edge.hashes],
            "sealed_at": self.sealed_at,
            "note": self.note,
            "follows": self.follows,
            "stepped_from": self.stepped_from,
        }
        return json.dumps(values, indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Head:
        values = json.loads(data)
        hashes = [bytes.fromhex(value) for value in values["edge"]]
        edge = Edge(HASHERS[values["hash"]], values["size"], hashes)
        return cls(
            values["tree"], values["origin"], edge, values["sealed_at"], values["note"],
            values["follows"], values["stepped_from"],
        )  # fmt: skip


class Custody:
    """The sealer's folder: `key-N.pem` (0600), `head.json`, and the certificate to hand out."""

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        self.folder = folder
        self.head_file = folder / "head.json"
        self.certificate = certificate or folder / CERTIFICATE

    def create(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def has_keys(self) -> bool:
        return bool(self._key_files())

    def signer(self, name: str, known: Sequence[str] = (), head: Head | None = None) -> Signer:
        """The key to sign with: the newest that the database knows, or that signed the last note;
        of a tree that follows a rollback, the certificate's. Made at its first use.

        known: vkeys in the order of their use. A key file that nobody names was left by a change
        that did not come to its end. Raises CustodyBroken when the files hold none that is named.
        """
        files = self._key_files()
        begun = head and (head.edge.size or head.note or head.follows)
        if not files and not known and not begun:
            return self.new_key(name)
        keys = [Signer(name, _load(file)) for file in reversed(files)]
        note = head.note if head else ""
        signed = {key_id for _name, key_id in signer_ids(note)} if note else set()
        if head and head.follows and not note and (published := self._published()):
            named = [key for key in keys if key.public.vkey == published.key.vkey]
        elif known or signed:
            named = [k for k in keys if k.public.vkey in known[-1:] or k.public.id in signed]
        else:
            named = keys
        if not named:
            wanted = known[-1] if known else "that signed the last head"
            raise CustodyBroken(
                f"the key {wanted} is in no file of {self.folder}; put back the file that has it"
            )
        return named[0]

    def endorsement(self, chain: Chain, new: Signer, head: Head) -> str:
        """What a key is entered with into a database that does not know it: the word of the last
        one there, where its file is here, as after an old copy from before a change of the key.
        Empty for the very first key."""
        if not chain or new.public.vkey in dict(chain):
            return ""
        for file in self._key_files():
            old = Signer(new.name, _load(file))
            if old.public.vkey == chain[-1][0]:
                at = Checkpoint(head.origin, head.edge.size, head.edge.root())
                return succession(old, new, at)
        return ""

    def new_key(self, name: str) -> Signer:
        """A further key; it is the newest from now on."""
        private = Ed25519PrivateKey.generate()
        data = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write(self.folder / f"key-{len(self._key_files()) + 1}.pem", data, mode=0o600)
        return Signer(name, private)

    def head(self) -> Head | None:
        """The record, None when there is none yet. Raises CustodyBroken for an unreadable one."""
        try:
            return Head.from_json(self.head_file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CustodyBroken(f"{self.head_file} cannot be read: {error}") from error

    def keep(self, head: Head) -> None:
        """Replace the record; it is on the disk when this returns."""
        _write(self.head_file, head.to_json(), mode=0o600)

    def publish_certificate(self, log: str, hash_name: str, key: PublicKey, chain: Chain) -> None:
        """What the verifier trusts: to be printed and handed over at installation.

        chain: the keys with their endorsements, as the database has them. One that names another
        key is replaced where that key named this one, and kept otherwise: CustodyBroken.
        """
        published = self._published()
        if published and published.key.vkey != key.vkey and not _named(published, key, chain):
            raise CustodyBroken(
                f"{self.certificate} names the key {published.key.vkey}, which has not named "
                f"{key.vkey}; put back the key file, or take the certificate away"
            )
        text = (
            "Fusebox log certificate / 日志证书\n\n"
            f"log: {log}\nhash: {hash_name}\nkey: {key.vkey}\n"
            f"fingerprint: {key.fingerprint}\n\n"
            "Whoever verifies an export of this log needs this text from a source other than the\n"
            "export: on paper, or by a way of your own. / 验证导出文件者须从其他途径取得本文。\n"
        )
        _write(self.certificate, text.encode(), mode=0o644)

    def _published(self) -> Certificate | None:
        try:
            return read_certificate(self.certificate)
        except NotTrusted:
            return None

    def _key_files(self) -> list[Path]:
        files = self.folder.glob("key-*.pem")
        return sorted(files, key=lambda path: int(path.stem.removeprefix("key-")))


def succession(old: Signer, new: Signer, at: Checkpoint) -> str:
    """A note by which the old key names the new one and the new one owns to the old one."""
    keys = f"{old.public.vkey}\n{new.public.vkey}\n"
    return sign(f"{at.origin}/next-key\n{at.size}\n{keys}", old, new)


def _named(published: Certificate, key: PublicKey, chain: Chain) -> bool:
    """Whether the key of the certificate named this one, by itself or by those it named."""
    try:
        trusted(published, chain)
    except BadNote:
        return False
    order = [vkey for vkey, _endorsement in chain]
    return key.vkey in order[order.index(published.key.vkey) + 1 :]


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise CustodyBroken(f"{path} cannot be read: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise CustodyBroken(f"{path} is no Ed25519 key")
    return private


def _write(path: Path, data: bytes, *, mode: int) -> None:
    """Whole or not at all, and on the disk: file, name and folder are synced."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
