"""Authenticated encryption of content: AES-256-GCM, or SM4-GCM in profile gm. Pure."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

AES, SM4 = "aes-256-gcm", "sm4-gcm"
KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
COMMITS = b"fusebox content commitment 1"


class Unreadable(Exception):
    """The key is not the one it was sealed with, or the bytes have been changed."""


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


def seal(cipher: str, key: bytes, plain: bytes, context: bytes) -> bytes:
    """nonce, ciphertext and tag in one. `context` is bound to it and not stored."""
    nonce = os.urandom(NONCE_BYTES)
    encryptor = Cipher(_algorithm(cipher, key), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(context)
    sealed = encryptor.update(plain) + encryptor.finalize()
    return nonce + sealed + encryptor.tag


def unseal(cipher: str, key: bytes, sealed: bytes, context: bytes) -> bytes:
    """The plain bytes. Raises Unreadable."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise Unreadable("too short")
    nonce, body, tag = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:-TAG_BYTES], sealed[-TAG_BYTES:]
    decryptor = Cipher(_algorithm(cipher, key), modes.GCM(nonce, tag)).decryptor()
    decryptor.authenticate_additional_data(context)
    try:
        return decryptor.update(body) + decryptor.finalize()
    except InvalidTag as error:
        raise Unreadable("wrong key, or changed") from error


def _algorithm(cipher: str, key: bytes) -> algorithms.AES | algorithms.SM4:
    if cipher == AES:
        return algorithms.AES(key)
    if cipher == SM4:
        return algorithms.SM4(key[:16])
    raise Unreadable(f"unknown cipher {cipher!r}")


@dataclass(frozen=True, slots=True)
class Sealed:
    """Content as it is stored: its own key wrapped by the key of its scope, and itself."""

    cipher: str
    wrapped: bytes
    body: bytes


def wrap(cipher: str, outer: bytes, plain: bytes, context: bytes) -> tuple[Sealed, bytes]:
    """Seal with a new key of its own; returns that key, too, to commit with."""
    own = new_key()
    wrapped = seal(cipher, outer, own, b"key\x00" + context)
    return Sealed(cipher, wrapped, seal(cipher, own, plain, b"content\x00" + context)), own


def unwrap(sealed: Sealed, outer: bytes, context: bytes) -> tuple[bytes, bytes]:
    """The plain bytes and the key they were sealed with. Raises Unreadable."""
    own = unseal(sealed.cipher, outer, sealed.wrapped, b"key\x00" + context)
    return unseal(sealed.cipher, own, sealed.body, b"content\x00" + context), own


def commitment(own: bytes, field: str, value: str) -> str:
    """What the log says of a text: proves it while its key lives, nothing once that is gone."""
    key = hmac.digest(own, COMMITS, "sha256")
    return hmac.digest(key, field.encode() + b"\x00" + value.encode(), "sha256").hex()
