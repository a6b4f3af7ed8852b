"""Which addresses the house may speak to: networks that are allowed, never a cloud's metadata."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from access.errors import Invalid

# Link-local (AWS, Azure, GCP, OpenStack…), AWS over IPv6, Alibaba Cloud, Oracle over IPv6.
NEVER = tuple(
    ipaddress.ip_network(n)
    for n in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "fd00:c1::/32")
)


def addresses_of(host: str, port: int, networks: Sequence[str], setting: str) -> list[str]:
    """The addresses of a host. Raises Invalid unless every one of them is allowed by `setting`.

    Connect to one of them, not to the name: it may mean something else a moment later.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Invalid(
            _("The name %(host)s is not known here. Check it, or give an IP address.")
            % {"host": host},
            field="address",
        ) from error
    allowed = [ipaddress.ip_network(n, strict=False) for n in networks]
    addresses = list(dict.fromkeys(str(entry[4][0]).split("%")[0] for entry in found))
    for text in addresses:
        given = ipaddress.ip_address(text)
        address = getattr(given, "ipv4_mapped", None) or given
        if _in(address, NEVER):
            raise Invalid(
                _("%(address)s belongs to a cloud's metadata service or to the local link.")
                % {"address": address},
                field="address",
            )
        if not _in(address, allowed):
            raise Invalid(
                _("%(address)s is outside the networks that %(setting)s allows.")
                % {"address": address, "setting": setting},
                field="address",
            )
    return addresses


def _in(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> bool:
    return any(address in net for net in networks if net.version == address.version)
