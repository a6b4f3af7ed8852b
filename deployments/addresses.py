"""Which addresses a node may have: the networks of settings, never a cloud's metadata service."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.utils.translation import gettext_noop as _

from access.errors import Invalid
from access.outward import NEVER
from access.said import say

MAX_URL = 300


def checked_url(url: str) -> str:
    """The URL, normalised. Raises access.errors.Invalid unless every address of it is allowed."""
    url = url.strip()
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or (443 if parts.scheme == "https" else 11434)
    except ValueError as error:
        raise Invalid(
            say(_("This is not an address. Write for example http://10.0.0.5:11434")), field="url"
        ) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > MAX_URL:
        raise Invalid(
            say(
                _("The address begins with http:// or https://, for example http://10.0.0.5:11434")
            ),
            field="url",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Invalid(say(_("Give the address without user name, password, ? or #.")), field="url")
    check_host(parts.hostname, port)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return urlunsplit((parts.scheme, f"{host}:{port}", parts.path.rstrip("/"), "", ""))


def check_host(host: str, port: int) -> None:
    """Raise Invalid unless every address that `host` resolves to is allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Invalid(
            say(
                _("The name %(host)s is not known here. Check it, or give an IP address."),
                host=host,
            ),
            field="url",
        ) from error
    allowed = [ipaddress.ip_network(n, strict=False) for n in settings.NODE_NETWORKS]
    for entry in found:
        address = ipaddress.ip_address(str(entry[4][0]).split("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        if any(address in net for net in NEVER if net.version == address.version):
            raise Invalid(
                say(
                    _(
                        "%(address)s belongs to a cloud's metadata service or the local link; no "
                        "node may be there."
                    ),
                    address=address,
                ),
                field="url",
            )
        if not any(address in net for net in allowed if net.version == address.version):
            raise Invalid(
                say(
                    _(
                        "%(address)s is outside the networks where nodes may be "
                        "(FUSEBOX_NODE_NETWORKS)."
                    ),
                    address=address,
                ),
                field="url",
            )
