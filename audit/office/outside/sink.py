"""What every outside copy is: a place that is told what is new, and a row that says how it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from audit.office.models import OutsideCopy


class SinkDown(Exception):
    """The place does not take what it is given; the text says why, fit to be shown."""


class Sink(ABC):
    """One place outside. `name` is its row's; `address` is shown to people."""

    name: str
    address: str
    # How long after a failure it is tried again; whether a look at it confirms what it holds.
    retry_s = 5.0
    confirms_by_look = True

    @abstractmethod
    def send(self, copy: OutsideCopy) -> OutsideCopy | None:
        """Give the place what it lacks, some of it at a time.

        Returns the row as it is from now on, unsaved, when something was confirmed; None when
        there is nothing new. Raises SinkDown; then nothing of this round counts.
        """

    @abstractmethod
    def look(self, copy: OutsideCopy) -> None:
        """Whether the place is still there and as it was left. Raises SinkDown."""


@contextmanager
def turn_of(sink: Sink) -> Iterator[bool]:
    """Whether it is ours: one process at a time speaks to a place, by a lock that ends with us."""
    name = [f"fusebox.outside.{sink.name}"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", name)
        ours = bool(cursor.fetchone()[0])
    try:
        yield ours
    finally:
        if ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)
