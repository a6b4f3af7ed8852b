"""Alarms to a program: one signed POST to an address that is allowed, never redirected.

The signature is HMAC-SHA256 over "<timestamp>.<body>"; a receiver refuses old timestamps, so that
nobody can send it the same again. docs/alarms.md shows how to check it.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import secrets
import socket
import ssl
import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from access import outward, sealing
from access.errors import Invalid
from audit.office.alarming.mail import NotSent
from audit.office.alarming.messages import Message

PURPOSE = b"fusebox alarm webhook 1"
TIMEOUT_S = 10.0
MOST_READ = 4096
MAX_URL = 500
SETTING = "FUSEBOX_ALARM_NETWORKS"


def new_key() -> tuple[str, str]:
    """A signing key for people to copy once, and the same sealed for the database."""
    key = f"whk_{secrets.token_urlsafe(32)}"
    return key, sealing.seal(key.encode(), PURPOSE)


def checked_url(text: str) -> str:
    """The address, if it may be spoken to. Raises access.errors.Invalid."""
    text = text.strip()
    parts = _parts(text)
    if parts is None or parts.username or parts.password or parts.fragment or len(text) > MAX_URL:
        raise Invalid(
            _("Write an address such as https://alarms.example.cn/fusebox, without user or #."),
            field="address",
        )
    _addresses(parts)
    return text


def _parts(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        return None
    return parts if fine and text.isascii() and text.isprintable() and " " not in text else None


def _addresses(parts: SplitResult) -> list[str]:
    return outward.addresses_of(str(parts.hostname), _port(parts), settings.ALARM_NETWORKS, SETTING)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def signature(key: bytes, timestamp: int, body: bytes) -> str:
    return hmac.new(key, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def send(message: Message, url: str, sealed: str) -> None:
    """Raises NotSent unless it is answered with 2xx."""
    body = json.dumps(message.values, ensure_ascii=True, sort_keys=True).encode()
    now = int(time.time())
    try:
        key = sealing.unseal(sealed, PURPOSE)
        parts = _parts(url)
        if parts is None:
            raise NotSent("the address cannot be read")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Fusebox",
            "X-Fusebox-Delivery": message.id,
            "X-Fusebox-Timestamp": str(now),
            "X-Fusebox-Signature": f"v1={signature(key, now, body)}",
        }
        status = _post(parts, _addresses(parts)[0], body, headers)
    except sealing.Unsealable as error:
        raise NotSent(
            "The signing key cannot be read: FUSEBOX_SECRET_KEY has changed. Add the receiver anew."
        ) from error
    except (OSError, http.client.HTTPException, Invalid) as error:
        raise NotSent(f"{type(error).__name__}: {error}"[:500]) from error
    if not 200 <= status < 300:
        raise NotSent(f"answered with {status}")


class _Pinned(http.client.HTTPConnection):
    """Connects to an address that was checked, whatever the name means by now."""

    def __init__(self, parts: SplitResult, address: str) -> None:
        super().__init__(str(parts.hostname), _port(parts), timeout=TIMEOUT_S)
        self._secure, self._address = parts.scheme == "https", address

    def connect(self) -> None:
        made: socket.socket = socket.create_connection((self._address, self.port), self.timeout)
        if self._secure:
            context = ssl.create_default_context(cafile=settings.ALARM_CA or None)
            made = context.wrap_socket(made, server_hostname=self.host)
        self.sock = made


def _post(parts: SplitResult, address: str, body: bytes, headers: dict[str, Any]) -> int:
    connection = _Pinned(parts, address)
    path = parts.path or "/"
    try:
        connection.request("POST", f"{path}?{parts.query}" if parts.query else path, body, headers)
        answer = connection.getresponse()
        answer.read(MOST_READ)
        return answer.status
    finally:
        connection.close()
