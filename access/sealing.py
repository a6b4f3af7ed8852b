"""Secrets at rest: sealed with a key made from FUSEBOX_SECRET_KEY, one a purpose."""

from __future__ import annotations

import base64
import binascii
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

NONCE = 12


class Unsealable(ValueError):
    """Sealed under another key or for another purpose, or changed since."""


def seal(plain: bytes, purpose: bytes) -> str:
    """The secret as text for the database."""
    nonce = os.urandom(NONCE)
    sealed = AESGCM(_key(settings.SECRET_KEY, purpose)).encrypt(nonce, plain, purpose)
    return base64.b64encode(nonce + sealed).decode()


def unseal(sealed: str, purpose: bytes) -> bytes:
    """The secret. Raises Unsealable."""
    try:
        data = base64.b64decode(sealed, validate=True)
        key = AESGCM(_key(settings.SECRET_KEY, purpose))
        return key.decrypt(data[:NONCE], data[NONCE:], purpose)
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise Unsealable from error


@lru_cache(maxsize=16)
def _key(secret: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(secret.encode())
