"""Checkpoints: the head of the log as a signed note (c2sp.org/signed-note, /tlog-checkpoint).

<origin>
<number of leaves>
<root, base64>

— <key name> <base64 of key id and Ed25519 signature>
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.ledger.tree import HASH_BYTES

ED25519 = b"\x01"
MAX_NOTE_BYTES = 16 * 1024
# Visible characters of ASCII without the plus sign, which parts a key's name from its id.
NAME = re.compile(r"[!-*,-~]{1,200}")
SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


class BadNote(ValueError):
    """The text is no signed note, or no checkpoint; the message says why."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies notes. `vkey` is its text form: name+id+base64."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> PublicKey:
        """Raises BadNote for a text that is no Ed25519 verifier key, or whose id is not its own."""
        try:
            name, key_id, data = vkey.strip().split("+", 2)
            raw = base64.b64decode(data, validate=True)
        except (ValueError, binascii.Error) as error:
            raise BadNote("this is no verifier key") from error
        if not NAME.fullmatch(name) or len(raw) != 1 + HASH_BYTES or raw[:1] != ED25519:
            raise BadNote("this is no Ed25519 verifier key")
        key = cls(name, raw[1:])
        if key.id.hex() != key_id:
            raise BadNote("the id of the verifier key is not its own")
        return key

    @property
    def id(self) -> bytes:
        """Four bytes that say which key signed."""
        text = self.name.encode() + b"\n" + ED25519 + self.public
        return hashlib.sha256(text).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    @property
    def fingerprint(self) -> str:
        """For people: SHA-256 of the public key, in groups of four."""
        digest = hashlib.sha256(self.public).hexdigest()
        return " ".join(digest[i : i + 4] for i in range(0, 32, 4))

    def verifies(self, text: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs notes."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        raw = self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        return PublicKey(self.name, raw)

    def signature_line(self, text: str) -> str:
        signed = self.public.id + self.private.sign(text.encode())
        return f"— {self.name} {base64.b64encode(signed).decode()}\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head of the log: the origin of the tree, how many leaves, their root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def sign(self, *signers: Signer) -> str:
        return sign(self.text, *signers)


def sign(text: str, *signers: Signer) -> str:
    """The signed note of `text`, which ends with a newline."""
    return f"{text}\n{''.join(signer.signature_line(text) for signer in signers)}"


def open_note(note: str, keys: Iterable[PublicKey]) -> str:
    """The text of a note that at least one of `keys` signed. Raises BadNote.

    Signatures of unknown keys are passed over, as the format wants it; a false signature of a
    known key is an error.
    """
    known = {(key.name, key.id): key for key in keys}
    text, signatures = split_note(note)
    good = 0
    for line in signatures:
        name, raw = signature_of(line)
        key = known.get((name, raw[:4]))
        if key is None:
            continue
        if not key.verifies(text.encode(), raw[4:]):
            raise BadNote("the signature is false")
        good += 1
    if not good:
        raise BadNote("no trusted key signed this")
    return text


def signer_ids(note: str) -> list[tuple[str, bytes]]:
    """The name and key id of each signature, checked by nobody."""
    return [(name, raw[:4]) for name, raw in map(signature_of, split_note(note)[1])]


def read_checkpoint(text: str) -> Checkpoint:
    """The checkpoint that the text of a note is: exactly three lines. Raises BadNote."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise BadNote("a checkpoint has three lines")
    origin, size, encoded = lines[:3]
    if not NAME.fullmatch(origin) or not SIZE.fullmatch(size):
        raise BadNote("the origin or the size of the checkpoint is malformed")
    try:
        root = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadNote("the root of the checkpoint is no base64") from error
    if len(root) != HASH_BYTES or base64.b64encode(root).decode() != encoded:
        raise BadNote("the root of the checkpoint is malformed")
    return Checkpoint(origin, int(size), root)


def open_checkpoint(note: str, keys: Iterable[PublicKey], origin: str) -> Checkpoint:
    """The checkpoint of `origin` that one of `keys` signed. Raises BadNote."""
    found = read_checkpoint(open_note(note, keys))
    if found.origin != origin:
        raise BadNote(f"this is a checkpoint of {found.origin}, not of {origin}")
    return found


def split_note(note: str) -> tuple[str, list[str]]:
    if len(note.encode()) > MAX_NOTE_BYTES or "\r" in note or "\x00" in note:
        raise BadNote("this is no signed note")
    text, blank, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or lines[-1] or not lines[:-1]:
        raise BadNote("this is no signed note")
    return text + "\n", lines[:-1]


def signature_of(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not NAME.fullmatch(parts[1]):
        raise BadNote("a signature line is malformed")
    try:
        raw = base64.b64decode(parts[2], validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadNote("a signature is no base64") from error
    if len(raw) < 5:
        raise BadNote("a signature is too short")
    return parts[1], raw
