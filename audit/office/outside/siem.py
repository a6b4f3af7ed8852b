"""Sealed events and signed heads, in the order of their positions, as RFC 5424 over TLS (RFC 5425).

Neither RFC has an acknowledgement. A batch was read when the receiver has closed the connection in
order after our end of it: whoever dies with something unread resets it instead. It counts when the
receiver is there once more after that: one that read and died before it wrote gets it again.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from audit.ledger.models import Checkpoint, Event, Leaf, Tree
from audit.office.formats import opened, syslog
from audit.office.formats.opened import Opened
from audit.office.models import OutsideCopy
from audit.office.outside.sink import Sink, SinkDown

PORT = 6514
TIMEOUT_S = 10.0
BATCH = 250


class Mark(NamedTuple):
    """How far: events of a tree, and leaves of the newest signed head."""

    tree: int
    position: int
    size: int


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where, whom to trust, and who we are. `certificate` and `key` only where it asks for them."""

    host: str
    port: int
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def parse(cls, url: str, **files: Path | None) -> Receiver:
        """`tls://host:6514`. ValueError for anything else: there is no way without TLS."""
        parts = urlsplit(url)
        if parts.scheme != "tls" or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(f"{url} is not like tls://siem.example:6514")
        return cls(parts.hostname, parts.port or PORT, **files)

    def context(self) -> ssl.SSLContext:
        """Both sides' certificates are checked: theirs always, ours when we have one."""
        made = ssl.create_default_context(cafile=str(self.authority) if self.authority else None)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate:
            made.load_cert_chain(self.certificate, self.key)
        return made


class Siem(Sink):
    name = "siem"

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        # What was read there and does not count yet: (counted before it, its end).
        self._read: tuple[Mark, Mark] | None = None
        self.address = f"{receiver.host}:{receiver.port}"

    def look(self, copy: OutsideCopy) -> None:
        """A connection with nothing in it."""
        self._deliver([])

    def send(self, copy: OutsideCopy) -> OutsideCopy | None:
        counted = Mark(copy.tree, copy.position, copy.size)
        # A row that says something else was set back by hand: it has the last word.
        read = self._read[1] if self._read and self._read[0] == counted else counted
        self._read = None
        messages, end = _after(read)
        if end == counted:
            return None
        self._deliver(messages)
        if end != read:
            self._read = (read, end)
        copy.tree, copy.position, copy.size = read
        return copy

    def _deliver(self, messages: Iterable[bytes]) -> None:
        receiver = self._receiver
        try:
            plain = socket.create_connection((receiver.host, receiver.port), TIMEOUT_S)
            with (
                plain,
                receiver.context().wrap_socket(plain, server_hostname=receiver.host) as link,
            ):
                for message in messages:
                    link.sendall(syslog.framed(message))
                _end(link)
        except ssl.SSLCertVerificationError as error:
            raise SinkDown(f"{self.address}: its certificate: {error.verify_message}") from error
        except TimeoutError as error:
            raise SinkDown(f"{self.address} does not read what it is sent") from error
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise SinkDown(f"{self.address}: {reason}") from error


def _end(link: ssl.SSLSocket) -> None:
    """Say that this is the end, and wait until the receiver ends, too.

    RFC 5425 4.4 wants its close_notify; rsyslog's GnuTLS driver just closes, which is as good:
    a receiver that has not read everything would reset the connection.
    """
    try:
        link.unwrap()
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return
    except ssl.SSLError as error:
        raise OSError(error.reason or "the receiver broke the connection off") from error


def _after(mark: Mark) -> tuple[list[bytes], Mark]:
    """The next messages, and how far they go."""
    # Whether there is a later tree is asked first: what comes after it is in it.
    later = Tree.objects.filter(number__gt=mark.tree).order_by("number").first()
    leaves = _leaves(mark.tree, mark.position)
    if not leaves and later is not None:
        return [], Mark(later.number, 0, 0)
    position = mark.position + len(leaves)
    heads = Checkpoint.objects.filter(tree=mark.tree, size__gt=mark.size, size__lte=position)
    head = heads.order_by("-size").first()
    messages = list(_messages(leaves))
    if head is not None:
        messages.append(syslog.head(head.tree, head.size, head.note, head.signed_at))
    return messages, Mark(mark.tree, position, head.size if head else mark.size)


def _leaves(tree: int, position: int) -> list[Leaf]:
    rows = Leaf.objects.filter(tree=tree, position__gte=position)
    return list(rows.order_by("position")[:BATCH])


def _messages(leaves: list[Leaf]) -> Iterator[bytes]:
    """A message a leaf. An event that is gone leaves a message that says so: no hole is silent."""
    rows = Event.objects.filter(pk__in=[leaf.event_id for leaf in leaves])
    found = {record[2]: Opened.of(record) for record in opened.columns(rows)}
    for leaf in leaves:
        event = found.get(str(leaf.event_id))
        if event is None:
            yield syslog.missing(leaf.tree, leaf.position, leaf.event_id)
        else:
            yield syslog.line(event, leaf.position)
