"""The forwarder: a process that gives the places outside what is new, each in a thread of its own.

It never stands in the way of anything: it only reads the log, and a place that hangs holds up
nobody but its own thread.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, close_old_connections, transaction
from django.db.models.functions import Now
from django.utils import timezone

from audit.ledger.actor import Actor
from audit.ledger.log import LogUnavailable
from audit.ledger.models import Tree
from audit.office import actions, stamps
from audit.office.models import OutsideCopy
from audit.office.outside.folder import Folder
from audit.office.outside.siem import Receiver, Siem
from audit.office.outside.sink import Sink, SinkDown, turn_of
from audit.office.outside.tsa import Tsa

logger = logging.getLogger(__name__)

ACTOR = Actor.system("forwarder")
REST_S = 1.0
LOOK_EVERY = 5
RETRY_S = 5.0


def configured() -> list[Sink]:
    """The places that the settings name. ValueError for one that cannot be understood."""
    sinks: list[Sink] = []
    if settings.SYSLOG_URL:
        files: dict[str, Path | None] = {
            "authority": settings.SYSLOG_CA,
            "certificate": settings.SYSLOG_CERT,
            "key": settings.SYSLOG_KEY,
        }
        sinks.append(Siem(Receiver.parse(settings.SYSLOG_URL, **files)))
    if settings.CHECKPOINT_DIR:
        sinks.append(Folder(settings.CHECKPOINT_DIR))
    if settings.TSA_URL:
        if settings.TSA_CA is None:
            raise ValueError("FUSEBOX_TSA_CA must name the certificates of the authority.")
        period = timedelta(minutes=settings.TSA_PERIOD_MINUTES)
        sinks.append(Tsa(settings.TSA_URL, stamps.read_roots(settings.TSA_CA), period))
    return sinks


def run(sinks: list[Sink], stop: threading.Event) -> None:
    """Tend every place until told to stop."""
    threads = [threading.Thread(target=_tend, args=(sink, stop)) for sink in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _tend(sink: Sink, stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        try:
            more = turn(sink, look=number % LOOK_EVERY == 0)
            pause = 0.0 if more else REST_S
        except (DatabaseError, LogUnavailable) as error:
            logger.warning("the database is away: %s", error)
            pause = RETRY_S
        except SinkDown:
            pause = sink.retry_s
        close_old_connections()
        number += 1
        stop.wait(pause)


def turn(sink: Sink, *, look: bool = True) -> bool:
    """Give a place the next that it lacks; whether there may be more.

    Raises SinkDown after it was noted in the row and as an event.
    """
    with turn_of(sink) as ours:
        if not ours:
            return False
        copy = _row(sink)
        try:
            given = sink.send(copy)
            if given is None and (look or copy.problem):
                sink.look(copy)
        except SinkDown as error:
            _down(sink, str(error))
            raise
        _up(sink, given)
        return given is not None


def _row(sink: Sink) -> OutsideCopy:
    """The place's row. Another address is another place: it begins at the beginning."""
    copy = OutsideCopy.objects.filter(name=sink.name).first()
    if copy is not None and copy.address == sink.address:
        return copy
    if copy is not None:
        copy.delete()
    first = Tree.objects.order_by("number").first()
    tree = first.number if first else 0
    return OutsideCopy.objects.create(name=sink.name, address=sink.address, tree=tree)


def _up(sink: Sink, given: OutsideCopy | None) -> None:
    values: dict[str, object] = {"beat_at": Now()}
    if given is not None or sink.confirms_by_look:
        values["confirmed_at"] = Now()
    if given is not None:
        values |= {"tree": given.tree, "position": given.position, "size": given.size}
    with transaction.atomic():
        row = OutsideCopy.objects.select_for_update().get(name=sink.name)
        if row.problem:
            actions.outside_copy_kept(actor=ACTOR, copy=row)
        OutsideCopy.objects.filter(name=sink.name).update(**values, problem="", since=None)


def _down(sink: Sink, problem: str) -> None:
    with transaction.atomic():
        row = OutsideCopy.objects.select_for_update().get(name=sink.name)
        if not row.problem:
            actions.outside_copy_late(actor=ACTOR, copy=row, problem=problem)
            row.since = timezone.now()
        OutsideCopy.objects.filter(name=sink.name).update(
            problem=problem[:500], since=row.since, beat_at=Now()
        )
