"""The installation certificate: the key that a verifier trusts, from outside what it verifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from audit.ledger.note import BadNote, PublicKey, open_note
from audit.ledger.tree import HASHERS

MAX_BYTES = 16 * 1024


class NotTrusted(RuntimeError):
    """There is no key to trust, so signatures prove nothing."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Which log, which hash, which key."""

    log: str
    hash: str
    key: PublicKey


def read_certificate(path: Path) -> Certificate:
    """Raises NotTrusted for a file that is missing or is no certificate."""
    try:
        text = path.read_bytes()[:MAX_BYTES].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise NotTrusted(f"the certificate {path} cannot be read: {error}") from error
    values = dict(line.split(": ", 1) for line in text.splitlines() if line.startswith(FIELDS))
    try:
        found = Certificate(values["log"], values["hash"], PublicKey.parse(values["key"]))
    except (KeyError, BadNote) as error:
        raise NotTrusted(f"{path} is no certificate of a log") from error
    if found.hash not in HASHERS:
        raise NotTrusted(f"{path} names a hash that is not known: {found.hash}")
    return found


FIELDS = ("log: ", "hash: ", "key: ")


def trusted(certificate: Certificate | None, keys: Sequence[tuple[str, str]]) -> list[PublicKey]:
    """The keys to trust: the certificate's, those that it named, and those that it owns to.

    keys: (vkey, endorsement) in the order of their use; an endorsement is signed by both keys.
    Raises NotTrusted without a certificate, BadNote for a key that no trusted key has named.
    """
    if certificate is None:
        raise NotTrusted("there is no certificate, so that no signature can be checked")
    parsed = [(PublicKey.parse(vkey), endorsement) for vkey, endorsement in keys]
    publics = [key.public for key, _endorsement in parsed]
    if certificate.key.public not in publics:
        raise BadNote("the log was not signed with the key of the certificate")
    for (old, _), (new, endorsement) in pairwise(parsed):
        # Both must have signed: the old key names the new one, the new one owns to the old one.
        texts = {open_note(endorsement, [old]), open_note(endorsement, [new])}
        if [text.split("\n")[2:4] for text in texts] != [[old.vkey, new.vkey]]:
            raise BadNote(f"the key {new.id.hex()} was not named by the key before it")
    return [key for key, _endorsement in parsed]
