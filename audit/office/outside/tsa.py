"""Time-stamps over signed heads from an authority (RFC 3161): once a period, never in the way."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from cryptography import x509
from django.utils import timezone

from audit.ledger import proofs
from audit.ledger.actor import Actor
from audit.office import actions, stamps
from audit.office.models import OutsideCopy
from audit.office.outside.sink import Sink, SinkDown

TIMEOUT_S = 15.0
QUERY = "application/timestamp-query"


class Tsa(Sink):
    name = "tsa"
    retry_s = 30.0
    confirms_by_look = False

    def __init__(self, url: str, roots: Sequence[x509.Certificate], period: timedelta) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is not like http://tsa.example/")
        self._url, self._roots, self._period = url, roots, period
        # Without what may be a password in it.
        self.address = f"{parts.scheme}://{parts.hostname}{':' if parts.port else ''}"
        self.address += f"{parts.port or ''}{parts.path}"

    def look(self, copy: OutsideCopy) -> None:
        """Nothing is asked of an authority between two stamps."""

    def send(self, copy: OutsideCopy) -> OutsideCopy | None:
        now = timezone.now()
        if copy.confirmed_at and now - copy.confirmed_at < self._period:
            return None
        head = proofs.newest()
        if head is None or (head.tree, head.size) == (copy.tree, copy.size):
            return None
        data = head.note.encode()
        request = stamps.request(data)
        token = self._ask(request.as_bytes())
        try:
            stamp = stamps.read(token, data, self._roots, nonce=request.nonce)
        except stamps.BadStamp as error:
            raise SinkDown(f"{self.address}: {error}") from error
        actions.keep_time_stamp(
            actor=Actor.system("forwarder"), head=head, token=token, stamp=stamp
        )
        copy.tree, copy.size, copy.position = head.tree, head.size, head.size
        return copy

    def _ask(self, query: bytes) -> bytes:
        asked = urllib.request.Request(self._url, query, {"Content-Type": QUERY})  # noqa: S310  settings
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as reply:  # noqa: S310
                answer: bytes = reply.read(stamps.MAX_TOKEN_BYTES + 1)
        except urllib.error.HTTPError as error:
            raise SinkDown(f"{self.address}: HTTP {error.code}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise SinkDown(f"{self.address}: {reason}") from error
        if len(answer) > stamps.MAX_TOKEN_BYTES:
            raise SinkDown(f"{self.address}: its answer is too long")
        return answer
