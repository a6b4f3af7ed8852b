"""What the auditor's office keeps of its own: verifications and saved searches."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class VerificationState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


UNDER_WAY = (VerificationState.QUEUED, VerificationState.RUNNING)


class Verification(models.Model):
    """A verification of the live log. One at a time; a worker that is killed leaves its sign of
    life to go stale, and another takes it up from the beginning.

    findings: integrity, completeness, cannot and notes, each a list of sentences.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(
        max_length=16, choices=VerificationState, default=VerificationState.QUEUED
    )
    since_last = models.BooleanField(default=False)
    requester_id = models.CharField(max_length=64)
    requester = models.CharField(max_length=120)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    exit_code = models.SmallIntegerField(null=True)
    origin = models.CharField(max_length=200, blank=True)
    findings = models.JSONField(default=dict)
    problem = models.TextField(blank=True)
    cancel_requested_at = models.DateTimeField(null=True)
    beat_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = [
            models.UniqueConstraint(
                models.Value(1),
                condition=Q(state__in=["queued", "running"]),
                name="one_verification_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"verification of {self.created_at}"

    @property
    def is_final(self) -> bool:
        return self.state not in UNDER_WAY

    @property
    def percent(self) -> int | None:
        return min(100, self.done * 100 // self.total) if self.total else None


class SavedSearch(models.Model):
    """A filter under a name, for the one who saved it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner_id = models.UUIDField()
    name = models.CharField(max_length=80)
    query = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["owner_id", "name"], name="search_name_once_a_person")
        ]

    def __str__(self) -> str:
        return self.name
