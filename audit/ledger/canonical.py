"""The canonical bytes of an event (RFC 8785) and its leaf hash (RFC 6962): stored as written.

Our values are a subset of JSON (no floats, integers within 2^53, ASCII keys) for which orjson's
sorted output is byte for byte RFC 8785; a property test holds it against an independent encoder.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

MAX_LEAF_BYTES = 16 * 1024
MAX_SAFE_INTEGER = 2**53 - 1
MAX_TEXT = 1024
BLOCK_BYTES = 64
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


class NotCanonical(ValueError):
    """The value has no canonical form here: a float, an integer beyond 2^53, a key not text."""


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """NFC, without lone surrogates and NUL (which PostgreSQL has no place for), at most `limit`
    characters: what a leaf may carry."""
    if text.isascii() and len(text) <= limit and "\x00" not in text:
        return text
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
    text = unicodedata.normalize("NFC", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def canonical(value: Mapping[str, Any]) -> bytes:
    """The RFC 8785 bytes of `value`.

    Raises NotCanonical for anything outside our subset, and for more than MAX_LEAF_BYTES.
    """
    _check(value)
    return encoded(value)


def encoded(value: Mapping[str, Any]) -> bytes:
    """`canonical` of a value that is made of text, integers, booleans, None and their containers,
    with ASCII keys: what is left to be asked is how large an integer is, and the whole."""
    try:
        data = orjson.dumps(value, option=_OPTIONS)
    except TypeError as error:
        raise NotCanonical(str(error)) from error
    if len(data) > MAX_LEAF_BYTES:
        raise NotCanonical(f"an event may have {MAX_LEAF_BYTES} bytes, this one has {len(data)}")
    return data


def read(leaf: bytes) -> dict[str, Any]:
    """What the bytes of a leaf say; empty when they are no JSON object."""
    try:
        value = orjson.loads(leaf)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def moment(leaf: bytes) -> datetime | None:
    """When an event happened, as its bytes say; None where they say nothing of the kind."""
    try:
        found = datetime.fromisoformat(str(read(leaf).get("t")))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _check(value: object) -> None:
    """Asked of everything in every event, so the usual types are told apart first."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is dict or isinstance(value, Mapping):
        check_keys(value)  # type: ignore[arg-type]
        for inner in value.values():  # type: ignore[attr-defined]
            if type(inner) is not str:
                _check(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check(inner)
    elif isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise NotCanonical(f"integer beyond 2^53: {value}")
    elif not isinstance(value, str):
        raise NotCanonical(f"{kind.__name__} has no place in an event")


def check_keys(value: Mapping[str, Any]) -> None:
    """Raises NotCanonical for a key that is not ASCII text."""
    try:
        if "".join(value).isascii():
            return
    except TypeError:
        pass
    raise NotCanonical(f"a key is not ASCII text: {list(value)!r}")


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf), the hash of a leaf in RFC 6962 section 2.1. 32 bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def commitment(key: bytes, field: str, value: str) -> str:
    """HMAC-SHA256(key, field || 0x00 || value) in hex: proves a personal value while key lives."""
    return Committer(key).commit(field, value)


class Committer:
    """HMAC-SHA256 (RFC 2104) under one key, whose two pads are made once: each commitment is then
    two hashes, at half the time of hmac.digest. A property test holds one against the other."""

    def __init__(self, key: bytes) -> None:
        if len(key) > BLOCK_BYTES:
            key = hashlib.sha256(key).digest()
        padded = key.ljust(BLOCK_BYTES, b"\x00")
        self._inner, self._outer = padded.translate(_INNER), padded.translate(_OUTER)

    def commit(self, field: str, value: str) -> str:
        message = (field + "\x00" + value).encode()
        inner = hashlib.sha256(self._inner + message).digest()
        return hashlib.sha256(self._outer + inner).hexdigest()
