"""THE door of the log: `record` inside a change's own transaction, `record_alone` for the rest.

Nothing else writes events, but for the gateway's group commit (ledger.group_commit), which stores
the same rows through the same `COLUMNS`.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.event import Change, Draft, Event, Obj, Writer, build
from audit.ledger.models import Event as EventRow
from audit.ledger.models import Mention, Personal

__all__ = [
    "Change",
    "LogUnavailable",
    "NotInTransaction",
    "Obj",
    "approval",
    "approved_by",
    "record",
    "record_alone",
]
# The proposal that is being applied: every event of what it does refers to it.
_approval: ContextVar[Mapping[str, Any]] = ContextVar("approval", default=MappingProxyType({}))


class NotInTransaction(RuntimeError):
    """A change was recorded outside the transaction that makes it: they must share a fate."""


class LogUnavailable(RuntimeError):
    """The log cannot be written, so what would have been recorded must not happen."""


class _Numbering:
    """The gap-free count of this process's own-transaction events. A fork starts a new boot."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._pid = 0
        self._next = 0
        self._writer = Writer("", uuid.UUID(int=0))

    def current(self) -> tuple[Writer, int]:
        if self._pid != os.getpid():
            self._pid, self._next = os.getpid(), 0
            self._writer = Writer(writer_name("console"), uuid.uuid4())
        return self._writer, self._next

    def advance(self) -> None:
        self._next += 1

    def begin_boot(self) -> None:
        """After a failure nobody knows whether the number was used: count anew."""
        self._pid = 0


_numbering = _Numbering()


@contextmanager
def approved_by(**approval: Any) -> Iterator[None]:
    """What is recorded inside happens because a second person approved it: id, approver, reason."""
    token = _approval.set(approval)
    try:
        yield
    finally:
        _approval.reset(token)


def approval() -> Mapping[str, Any]:
    """The proposal that is being applied: id, approver, reason; empty when there is none."""
    return _approval.get()


def approval_id() -> uuid.UUID:
    """The proposal that is being applied. Raises KeyError when there is none."""
    return uuid.UUID(approval()["id"])


def writer_name(kind: str) -> str:
    """`kind@host/pid`: which process wrote an event."""
    return f"{kind}@{socket.gethostname()}/{os.getpid()}"


def record(actor: Actor, act: Act, *objects: Obj, **details: Any) -> Event:
    """Record `act` in the transaction that makes the change, so that both happen or neither.

    `details` are the further fields of ledger.event.Draft: outcome, reason, changes, permission…
    Raises NotInTransaction outside `atomic()`.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(act.value)
    draft = Draft(actor, act, objects, **{"appr": _approval.get(), **details})
    event = build(draft, log=settings.FUSEBOX_LOG_ORIGIN)
    _insert(event)
    return event


def record_alone(actor: Actor, act: Act, *objects: Obj, **details: Any) -> Event:
    """Record what changed nothing (a denial, a failure, a search) in a transaction of its own.

    Raises LogUnavailable when the database refuses: the caller must then refuse, too.
    """
    with _numbering.lock:
        writer, wseq = _numbering.current()
        event = build(
            Draft(actor, act, objects, **details),
            log=settings.FUSEBOX_LOG_ORIGIN,
            writer=writer,
            wseq=wseq,
        )
        try:
            with transaction.atomic():
                _insert(event)
        except DatabaseError as error:
            _numbering.begin_boot()
            raise LogUnavailable(str(error)) from error
        _numbering.advance()
    return event


def _insert(event: Event) -> None:
    EventRow.objects.create(
        id=event.id, leaf=event.leaf, leaf_hash=event.leaf_hash, **event.columns
    )
    Personal.objects.create(event_id=event.id, **event.personal)
    if event.mentions:
        Mention.objects.bulk_create(
            Mention(object_id=object_id, event_id=event.id) for object_id in event.mentions
        )
