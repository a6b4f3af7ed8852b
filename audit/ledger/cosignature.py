"""Cosignatures of witnesses on a checkpoint (c2sp.org/tlog-cosignature, Ed25519, type 0x04).

A witness signs, with the time, that this head extends the last one it saw:

— <name of the witness> <base64 of key id, time in seconds, and Ed25519 signature>
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from audit.ledger.note import NAME, BadNote, PublicKey, signature_of
from audit.ledger.tree import HASH_BYTES

COSIGNATURE = b"\x04"
ID, TIME, SIGNATURE = 4, 8, 64
LAST_SECOND = 253_402_300_799
MAX_LINE = 600


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The key by which a witness is known. Its text form is that of a verifier key."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> WitnessKey:
        """Raises BadNote for a text that is no key of a witness, or whose id is not its own."""
        try:
            name, key_id, data = vkey.strip().split("+", 2)
            raw = base64.b64decode(data, validate=True)
        except (ValueError, binascii.Error) as error:
            raise BadNote("this is no key of a witness") from error
        if not NAME.fullmatch(name) or len(raw) != 1 + HASH_BYTES or raw[:1] != COSIGNATURE:
            raise BadNote("this is no key of a witness")
        key = cls(name, raw[1:])
        if key.id.hex() != key_id:
            raise BadNote("the id of the key is not its own")
        return key

    @property
    def id(self) -> bytes:
        text = self.name.encode() + b"\n" + COSIGNATURE + self.public
        return hashlib.sha256(text).digest()[:ID]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(COSIGNATURE + self.public).decode()}"

    @property
    def fingerprint(self) -> str:
        return PublicKey(self.name, self.public).fingerprint

    def confirmed_at(self, line: str, head: str) -> datetime:
        """When, by its own clock, the witness signed `head`, the text of a checkpoint.

        Raises BadNote for a line that is not this key's signature over that text.
        """
        name, raw = signature_of(line.rstrip("\n"))
        if (name, raw[:ID]) != (self.name, self.id) or len(raw) != ID + TIME + SIGNATURE:
            raise BadNote("this is not a cosignature of that witness")
        seconds = int.from_bytes(raw[ID : ID + TIME], "big")
        if not 0 < seconds <= LAST_SECOND:
            raise BadNote("the time of the cosignature is out of range")
        text = f"cosignature/v1\ntime {seconds}\n{head}"
        if not PublicKey(self.name, self.public).verifies(text.encode(), raw[ID + TIME :]):
            raise BadNote("the cosignature is false")
        return datetime.fromtimestamp(seconds, UTC)
