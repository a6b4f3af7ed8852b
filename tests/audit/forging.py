"""Bundles made by hand, with a key of one's own: what somebody who forges evidence has."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.office.verifier import verify as verifying

verify: Any = verifying
HASH = verify.Hasher("sha256")
LOG = "fusebox.test/audit"
COMMENT = len("sha256:") + 64


@dataclass(frozen=True)
class Signer:
    """A key of a log, or of somebody who says so."""

    seed: int
    name: str = LOG

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes([self.seed]) * 32)

    @property
    def public(self) -> bytes:
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return self.private.public_key().public_bytes(*raw)

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        data = base64.b64encode(b"\x01" + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{data}"

    def line(self, text: str) -> str:
        signature = self.id + self.private.sign(text.encode())
        return f"\u2014 {self.name} {base64.b64encode(signature).decode()}\n"

    def certificate(self, path: Path, more: str = "") -> Path:
        path.write_text(f"A log\n\nlog: {LOG}\nhash: sha256\nkey: {self.vkey}\n{more}")
        return path


FIRST, SECOND, STRANGER = Signer(1), Signer(2), Signer(7)


def succession(old: Signer, new: Signer) -> str:
    text = f"succession\n{LOG}\n{old.vkey}\n{new.vkey}\n"
    return f"{text}\n{old.line(text)}{new.line(text)}"


BOTH = [
    {"vkey": FIRST.vkey, "endorsement": ""},
    {"vkey": SECOND.vkey, "endorsement": succession(FIRST, SECOND)},
]


def event(number: int, **more: Any) -> bytes:
    values = {"id": f"{number:08}-0000-0000-0000-{number:012}", **more}
    return json.dumps(values, separators=(",", ":"), sort_keys=True).encode()


def events(count: int, fork: int | None = None) -> list[bytes]:
    """`count` events; from `fork` on other ones."""
    odd = count if fork is None else fork
    return [event(n) if n < odd else event(n, x="other") for n in range(count)]


def numbered(*numbers: Any, boot: Any = "a-process") -> list[bytes]:
    return [event(at, boot=boot, wseq=number) for at, number in enumerate(numbers)]


def root_of(leaves: list[bytes]) -> bytes:
    edge = verify.Edge(HASH)
    for leaf in leaves:
        edge.append(leaf)
    return edge.root()  # type: ignore[no-any-return]


def covered(leaves: list[bytes], begin: int, end: int) -> list[str]:
    found, at = [], begin
    for level in verify.cover(begin, end):
        found.append(root_of(leaves[at : at + (1 << level)]).hex())
        at += 1 << level
    return found


@dataclass
class Forged:
    """The files of a bundle of a range, and its manifest, to be changed before it is packed."""

    lines: list[bytes]
    signer: Signer = FIRST
    first: int = 0
    end: int | None = None
    origin: str = f"{LOG}/1"
    keys: list[dict[str, Any]] | None = None
    previous: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.leaves = [HASH.leaf(line) for line in self.lines]
        self.size = len(self.lines)
        self.end = self.size if self.end is None else self.end
        own = [{"vkey": self.signer.vkey, "endorsement": ""}]
        self.files |= {
            "events.jsonl": b"".join(line + b"\n" for line in self.lines[self.first : self.end]),
            "proofs/leaves.bin": b"".join(self.leaves[self.first : self.end]),
            "checkpoint.txt": self.note(self.size).encode(),
        }
        self.json("keys.json", self.keys or own)
        range_ = {"before": self._cover(0, self.first), "after": self._cover(self.end, self.size)}
        self.json("proofs/range.json", range_)
        if self.previous is not None:
            self.files["previous-checkpoint.txt"] = self.note(self.previous).encode()
            self.json("proofs/consistency.json", self.link(self.previous))
        self.manifest |= {
            "format": "fusebox-bundle-1", "log": LOG, "origin": self.origin, "hash": "sha256",
            "size": self.size, "kind": "range", "events": self.end - self.first, "filter": {},
            "made_at": "2026-11-24T10:00:00+00:00", "first": self.first, "end": self.end,
        }  # fmt: skip

    def _cover(self, begin: int, end: int) -> list[str]:
        return covered(self.leaves, begin, end)

    def text(self, size: int) -> str:
        root = base64.b64encode(root_of(self.leaves[:size])).decode()
        return f"{self.origin}\n{size}\n{root}\n"

    def note(self, size: int) -> str:
        text = self.text(size)
        return f"{text}\n{self.signer.line(text)}"

    def link(self, size: int) -> dict[str, Any]:
        return {
            "from": size, "before": self._cover(0, size), "after": self._cover(size, self.size),
        }  # fmt: skip

    def json(self, name: str, value: object) -> None:
        self.files[name] = json.dumps(value).encode()

    def pack(self, target: Path, *, manifest: bytes | None = None) -> Path:
        """As we write it, with the hash of all of it at its end."""
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        whole = json.dumps({**self.manifest, "files": hashes}).encode()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in self.files.items():
                archive.writestr(name, data)
            archive.writestr("manifest.json", whole if manifest is None else manifest)
        seal(target)
        return target


def seal(target: Path) -> None:
    data = target.read_bytes()[:-2] + COMMENT.to_bytes(2, "little")
    target.write_bytes(data + b"sha256:" + hashlib.sha256(data).hexdigest().encode())


# --- what a bundle may be made to look like; all of it is refused, by both verifiers alike --------


def _manifest(name: str, value: Any) -> Callable[[Path], Path]:
    def make(target: Path) -> Path:
        forged = Forged(events(4))
        forged.manifest[name] = value
        return forged.pack(target)

    return make


def _file(name: str, value: Any) -> Callable[[Path], Path]:
    def make(target: Path) -> Path:
        forged = Forged(events(4), keys=BOTH, signer=SECOND)
        forged.json(name, value)
        return forged.pack(target)

    return make


def _raw_manifest(text: bytes) -> Callable[[Path], Path]:
    def make(target: Path) -> Path:
        forged = Forged(events(4))
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in forged.files.items()}
        whole = json.dumps({**forged.manifest, "files": hashes}).encode()
        return forged.pack(target, manifest=whole.replace(b'"first": 0', text))

    return make


def _signatures(count: int) -> Callable[[Path], Path]:
    def make(target: Path) -> Path:
        forged = Forged(events(4))
        note = forged.note(4) + FIRST.line(forged.text(4)) * count
        forged.files["checkpoint.txt"] = note.encode()
        return forged.pack(target)

    return make


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def make(target: Path) -> Path:
        Forged(events(4)).pack(target)
        target.write_bytes(change(target.read_bytes()))
        return target

    return make


def _local(offset: int, data: bytes) -> Callable[[Path], Path]:
    """Another word in what the first file says of itself."""
    return _bytes(lambda whole: whole[:offset] + data + whole[offset + len(data) :])


def _hidden(target: Path) -> Path:
    """A file before all others that the directory does not name."""
    other = target.with_suffix(".other")
    Forged(events(4, fork=0)).pack(other)
    with zipfile.ZipFile(other) as archive:
        begin = other.read_bytes()[: archive.infolist()[1].header_offset]
    Forged(events(4)).pack(target)
    data = target.read_bytes()
    with zipfile.ZipFile(target) as archive:
        places = [info.header_offset for info in archive.infolist()]
        directory = archive.start_dir
    listed = bytearray(data[directory:])
    at = 0
    for place in places:
        listed[at + 42 : at + 46] = (place + len(begin)).to_bytes(4, "little")
        sizes = [int.from_bytes(listed[at + n : at + n + 2], "little") for n in (28, 30, 32)]
        at += 46 + sum(sizes)
    listed[at + 16 : at + 20] = (directory + len(begin)).to_bytes(4, "little")
    target.write_bytes(begin + data[:directory] + bytes(listed))
    return target


def _inside_its_comment(target: Path) -> Path:
    """Two archives in one file: which of them is it?"""
    Forged(events(4)).pack(target)
    genuine = target.read_bytes()
    Forged(events(4, fork=0)).pack(target)
    forged = target.read_bytes()[: -COMMENT - 2]
    target.write_bytes(forged + len(genuine).to_bytes(2, "little") + genuine)
    return target


REFUSED: dict[str, Callable[[Path], Path]] = {
    "first is false": _manifest("first", False),
    "first is 0.0": _raw_manifest(b'"first": 0.0'),
    "first is there twice": _raw_manifest(b'"first": 0, "first": 0'),
    "a number beyond 2^53": _raw_manifest(b'"first": 0, "removed": 9007199254740992'),
    "not a number": _raw_manifest(b'"first": 0, "removed": NaN'),
    "the count is true": _manifest("events", True),
    "the size is text": _manifest("size", "4"),
    "another hash": _manifest("hash", "sm3"),
    "a list of hashes": _manifest("hash", ["sha256"]),
    "an unknown kind": _manifest("kind", "all"),
    "a key is a number": _file("keys.json", [{"vkey": 5, "endorsement": ""}]),
    "half a character in a key": _file("keys.json", [{"vkey": "\ud800", "endorsement": ""}]),
    "an endorsement is a number": _file("keys.json", [BOTH[0], {**BOTH[1], "endorsement": 5}]),
    "half an endorsement": _file("keys.json", [BOTH[0], {**BOTH[1], "endorsement": "\ud800"}]),
    "a range that is a list": _file("proofs/range.json", []),
    "a key signed twice": _signatures(1),
    "more signatures than anybody has": _signatures(300),
    "bytes before it": _bytes(lambda data: b"#!/bin/sh\n" + data),
    "bytes after it": _bytes(lambda data: data + b"\n"),
    "another archive in its comment": _inside_its_comment,
    "a file that is not listed": _hidden,
    "another way of packing": _local(8, b"\x00\x00"),
    "encrypted, it says": _local(6, b"\x01\x00"),
    "another size": _local(22, b"\x01\x00\x00\x00"),
    "for a later program": _local(4, b"\xff\x00"),
    "another name": _local(30, b"EVENTS"),
    "a number of a process is missing": lambda to: Forged(numbered(0, 2)).pack(to),
    "the first numbers of a process": lambda to: Forged(numbered(3, 4)).pack(to),
    "a number that is there twice": lambda to: Forged(numbered(0, 1, 1)).pack(to),
    "an event twice": lambda to: Forged([event(1), event(1)]).pack(to),
    "a float in an event": lambda to: Forged([event(1, x=1.5)]).pack(to),
    "an event that is no object": lambda to: Forged([b"[]"]).pack(to),
    "a log of another name": lambda to: Forged(events(4), origin="other/1").pack(to),
    "a tree without a number": lambda to: Forged(events(4), origin=f"{LOG}/0").pack(to),
    "signed by a stranger": lambda to: Forged(events(4), signer=STRANGER).pack(to),

}  # fmt: skip
