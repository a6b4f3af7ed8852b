"""What every outside copy is: a place that is told what is new, and a row that says how it is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from django.db import connection

from audit.office.models import OutsideCopy


class SinkDown(Exception):
    """The place does not take what it is given; the text says why, fit to be shown."""


class Sink(ABC):
    """One place outside. `name` is its row's; `address` is shown to people."""

    name: str
    address: str

    @abstractmethod
    def send(self, copy: OutsideCopy) -> OutsideCopy | None:
        """Give the place what it lacks, some of it at a time.

        Returns the row as it is from now on, unsaved, when something was confirmed; None when
        there is nothing new. Raises SinkDown; then nothing of this round counts.
        """

    @abstractmethod
    def look(self, copy: OutsideCopy) -> None:
        """Whether the place is still there and as it was left. Raises SinkDown."""


class Turn:
    """One process at a time speaks to a place: a lock of the database that ends with us."""

    def __init__(self, name: str) -> None:
        self.name = f"fusebox.outside.{name}"

    def take(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [self.name])
            return bool(cursor.fetchone()[0])

    def leave(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [self.name])
