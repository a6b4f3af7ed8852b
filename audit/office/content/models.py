"""Rows of captured content: who decided to keep it and why, the content itself, who opened it.

The rows of CapturePolicy are the register of impact assessments (PIPL 55 and 56): none is ever
deleted, and a change is a new row.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

MOST_DAYS, MOST_MINUTES = 365, 480


class CapturePolicy(models.Model):
    """What is kept of one deployment, from when to when, why, and which two people decided it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment_id = models.UUIDField()
    deployment_name = models.CharField(max_length=63)
    purpose = models.CharField(max_length=500)
    necessity = models.TextField()
    protection = models.TextField(blank=True)
    prompt = models.BooleanField()
    answer = models.BooleanField()
    percent = models.PositiveSmallIntegerField()
    days = models.PositiveSmallIntegerField()
    proposer_id = models.UUIDField()
    approver_id = models.UUIDField(null=True)
    began_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    ended_by_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("-began_at",)
        verbose_name_plural = "capture policies"
        constraints = [
            models.UniqueConstraint(
                fields=["deployment_id"], condition=Q(ended_at=None), name="capture_one_in_force"
            ),
            models.CheckConstraint(
                condition=Q(percent__gte=1, percent__lte=100), name="capture_percent_bounded"
            ),
            models.CheckConstraint(
                condition=Q(days__gte=1, days__lte=MOST_DAYS), name="capture_days_bounded"
            ),
            models.CheckConstraint(
                condition=Q(prompt=True) | Q(answer=True), name="capture_of_something"
            ),
            models.CheckConstraint(
                condition=~Q(proposer_id=F("approver_id")), name="capture_by_two_people"
            ),
            models.CheckConstraint(condition=~Q(purpose=""), name="capture_has_purpose"),
        ]

    def __str__(self) -> str:
        return f"{self.deployment_name}: {self.what}"

    @property
    def what(self) -> str:
        if self.prompt and self.answer:
            return str(_("prompts and answers"))
        return str(_("prompts") if self.prompt else _("answers"))


class Content(models.Model):
    """What was said in one request, encrypted. Its key is a file outside; `day` is that key's."""

    id = models.UUIDField(primary_key=True)
    deployment_id = models.UUIDField()
    person_id = models.UUIDField()
    policy = models.ForeignKey(CapturePolicy, on_delete=models.PROTECT, related_name="+")
    request_id = models.TextField(blank=True)
    day = models.DateField()
    at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    cipher = models.TextField()
    wrapped = models.BinaryField()
    body = models.BinaryField()
    size = models.IntegerField()

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "content"
        indexes = [
            models.Index(fields=["deployment_id", "-id"], name="content_by_deployment"),
            models.Index(fields=["person_id", "day"], name="content_by_person"),
            models.Index(fields=["expires_at"], name="content_by_expiry"),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Opening(models.Model):
    """Break-glass: an auditor may read the content of one deployment and period for some minutes,
    because a second person agreed to the reason."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment_id = models.UUIDField()
    deployment_name = models.CharField(max_length=63)
    person_id = models.UUIDField(null=True)
    start = models.DateTimeField()
    end = models.DateTimeField()
    reason = models.TextField()
    reader_id = models.UUIDField()
    approver_id = models.UUIDField(null=True)
    minutes = models.PositiveSmallIntegerField()
    opened_at = models.DateTimeField(db_default=Now())
    ends_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-opened_at",)
        constraints = [
            models.CheckConstraint(
                condition=~Q(reader_id=F("approver_id")), name="opening_by_two_people"
            ),
            models.CheckConstraint(
                condition=Q(minutes__gte=1, minutes__lte=MOST_MINUTES), name="opening_time_box"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="opening_has_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.deployment_name} until {self.ends_at}"

    @property
    def until(self) -> datetime:
        return min(self.ends_at, self.closed_at) if self.closed_at else self.ends_at

    @property
    def is_open(self) -> bool:
        return timezone.now() < self.until


# Why something of an erased person is kept, as the log says it.
HELD = "legal hold"
FLOOR = "retention floor until"


class ErasureState(models.TextChoices):
    RESTRICTED = "restricted", _("Restricted")
    WAITING = "waiting", _("Under way")
    DONE = "done", _("Erased")


class Erasure(models.Model):
    """The erasure of one person: what two people decided, and how far it is.

    restricted: something of this person must still be kept; until then it is shown to nobody.
    `due_at` says when it is looked at again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person_id = models.UUIDField(unique=True)
    state = models.CharField(max_length=16, choices=ErasureState, default=ErasureState.WAITING)
    basis = models.CharField(max_length=40)
    reason = models.TextField()
    names = models.JSONField(default=list)
    proposer_id = models.CharField(max_length=64)
    approver_id = models.CharField(max_length=64)
    events = models.BigIntegerField(default=0)
    contents = models.BigIntegerField(default=0)
    kept_for = models.TextField(blank=True)
    due_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = [
            models.CheckConstraint(
                condition=~Q(proposer_id=F("approver_id")), name="erasure_by_two_people"
            ),
        ]

    def __str__(self) -> str:
        return f"erasure of {self.person_id}"

    @property
    def kept_because(self) -> str:
        """`kept_for` in the reader's language."""
        if self.kept_for == HELD:
            return gettext("a legal hold")
        day = self.kept_for.removeprefix(FLOOR).strip()
        return gettext("the law asks for it until %(day)s") % {"day": day} if day else ""
