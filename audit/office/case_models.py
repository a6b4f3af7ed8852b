"""What auditors write beside the log: notes on events, and cases that collect events.

It is no evidence and no part of the tree: the log's own events say that it was written.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from audit.ledger.event import Obj
from audit.ledger.models import Event


class EventNote(models.Model):
    """A note on one event. Notes are added, never changed."""

    event = models.ForeignKey(
        Event, on_delete=models.DO_NOTHING, related_name="notes", db_constraint=False
    )
    author_id = models.CharField(max_length=64)
    text = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"note on {self.event_id}"


class CaseState(models.TextChoices):
    OPEN = "open", _("Open")
    CLOSED = "closed", _("Closed")


class Case(models.Model):
    """Events that belong together, with a title and notes: what somebody is looking into."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=120)
    state = models.CharField(max_length=16, choices=CaseState, default=CaseState.OPEN)
    author_id = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at", "pk")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=CaseState.values), name="case_state_known")
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_open(self) -> bool:
        return self.state == CaseState.OPEN

    def as_obj(self) -> Obj:
        """Its title may name people: the log keeps a commitment to it only."""
        return Obj("case", str(self.pk), self.title, personal=True)


class CaseEvent(models.Model):
    """An event of a case, once."""

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="items")
    event = models.ForeignKey(
        Event, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    author_id = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "event"], name="event_once_a_case")]
        indexes = [models.Index(fields=["event"], name="cases_of_event")]

    def __str__(self) -> str:
        return f"{self.event_id} in {self.case_id}"


class CaseNote(models.Model):
    """A note on a case. Notes are added, never changed."""

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="notes")
    author_id = models.CharField(max_length=64)
    text = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"note on {self.case_id}"
