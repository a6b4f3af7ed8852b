"""How a node behind a reverse proxy is reached: headers, its own CA, a client certificate.

What is secret of it is sealed with a key made from FUSEBOX_SECRET_KEY before it is stored.
"""

from __future__ import annotations

import json
import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from access import sealing
from access.errors import Invalid
from access.said import Said, say

HEADER_NAME = re.compile(r"^[A-Za-z0-9-]{1,64}$")
# What the connection itself decides; a header of that name would contradict it.
NOT_OURS = {"host", "content-length", "transfer-encoding", "connection", "content-type"}
MAX_HEADERS, MAX_VALUE, MAX_PEM = 10, 2000, 32_000
PURPOSE = b"fusebox node secrets 1"


class Unsealable(ValueError):
    """Sealed under another key, or changed since."""

    text: Said = say(
        gettext_noop(
            "The headers and key of this node cannot be read: FUSEBOX_SECRET_KEY has changed "
            "since they were stored. Enter them again."
        )
    )

    def __str__(self) -> str:
        return str(self.text)


@dataclass(frozen=True, slots=True)
class Access:
    """What is needed beside the URL. `key` is the PEM of the client certificate's private key."""

    headers: Mapping[str, str] = field(default_factory=dict)
    ca: str = ""
    certificate: str = ""
    key: str = ""

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The context for https, or None when the machine's own will do."""
        return _context(self.ca, self.certificate, self.key)


PLAIN = Access()


def seal(headers: Mapping[str, str], key: str) -> str:
    """The secret part as text for the database; empty when there is nothing secret."""
    if not headers and not key:
        return ""
    return sealing.seal(json.dumps({"headers": dict(headers), "key": key}).encode(), PURPOSE)


def unseal(sealed: str, ca: str = "", certificate: str = "") -> Access:
    """The access as stored. Raises Unsealable."""
    if not sealed:
        return Access(ca=ca, certificate=certificate) if ca or certificate else PLAIN
    try:
        found = json.loads(sealing.unseal(sealed, PURPOSE))
    except sealing.Unsealable as error:
        raise Unsealable from error
    return Access(found["headers"], ca, certificate, found["key"])


def valid_headers(headers: Mapping[str, str]) -> dict[str, str]:
    found = {str(name).strip(): str(value).strip() for name, value in headers.items()}
    for name, value in found.items():
        fine = HEADER_NAME.match(name) and name.lower() not in NOT_OURS
        if not fine or not value or len(value) > MAX_VALUE or not value.isprintable():
            raise Invalid(_("Write each header as Name: value."), field="headers")
    if len(found) > MAX_HEADERS:
        raise Invalid(
            _("A node may have %(most)d headers.") % {"most": MAX_HEADERS}, field="headers"
        )
    return found


def read_headers(text: str) -> dict[str, str]:
    """The lines that people type: `Name: value`."""
    found = {}
    for line in text.splitlines():
        if line.strip():
            name, _colon, value = line.partition(":")
            found[name] = value
    return valid_headers(found)


def valid_tls(ca: str, certificate: str, key: str) -> tuple[str, str, str]:
    """The three PEM texts, if a connection can be made with them."""
    texts = ca.strip(), certificate.strip(), key.strip()
    for name, text in zip(("ca", "client_certificate", "client_key"), texts, strict=True):
        if len(text) > MAX_PEM:
            raise Invalid(_("This is too long for a certificate."), field=name)
    if bool(texts[1]) != bool(texts[2]):
        raise Invalid(
            _("A client certificate needs its key, and the key its certificate."),
            field="client_certificate",
        )
    for field_name, parts in (
        ("ca", (texts[0], "", "")),
        ("client_certificate", ("", *texts[1:])),
    ):
        try:
            _context(*parts)
        except (ssl.SSLError, ValueError, OSError) as error:
            raise Invalid(
                _("This cannot be read as PEM, or key and certificate do not belong together."),
                field=field_name,
            ) from error
    return texts


@lru_cache(maxsize=256)
def _context(ca: str, certificate: str, key: str) -> ssl.SSLContext | None:
    if not ca and not certificate:
        return None
    context = ssl.create_default_context(cadata=ca or None)
    if certificate:
        # OpenSSL reads a chain from files only: ours is gone again before anybody else looks.
        with tempfile.TemporaryDirectory(prefix="fusebox-") as folder:
            chain = Path(folder) / "chain"
            chain.touch(mode=0o600)
            chain.write_text(f"{key}\n{certificate}\n", encoding="ascii")
            context.load_cert_chain(chain, password=lambda: b"")
    return context
