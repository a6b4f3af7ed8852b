"""What the auditor's office keeps of its own: verifications, exports, saved searches, the policy of
retention and holds."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.office import outside_models  # noqa: F401  so that Django finds them
from audit.office.alarm_models import (
    Alarm,
    AlarmRule,
    AlarmSighting,
    AlarmWord,
    Channel,
    ChannelKind,
    KeyHour,
    Notice,
    NoticeKind,
    NoticeState,
    SeenAddress,
    Verdict,
)
from audit.office.case_models import Case, CaseEvent, CaseNote, CaseState, EventNote
from audit.office.content.models import CapturePolicy, Content, Erasure, ErasureState, Opening

__all__ = [
    "SILENT",
    "UNDER_WAY",
    "Alarm",
    "AlarmRule",
    "AlarmSighting",
    "AlarmWord",
    "CapturePolicy",
    "Case",
    "CaseEvent",
    "CaseNote",
    "CaseState",
    "Channel",
    "ChannelKind",
    "Content",
    "Erasure",
    "ErasureState",
    "EventNote",
    "Export",
    "KeyHour",
    "Notice",
    "NoticeKind",
    "NoticeState",
    "Opening",
    "OutsideCopy",
    "Run",
    "RunState",
    "SavedSearch",
    "SeenAddress",
    "Verdict",
    "Verification",
]


class RunState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


# Whoever says nothing for longer is away: the sealer, the forwarder.
SILENT = timedelta(seconds=60)
UNDER_WAY = (RunState.QUEUED, RunState.RUNNING)


class Run(models.Model):
    """Long work in a worker. One that is killed leaves its sign of life to go stale, and another
    takes it up from the beginning, as the next attempt."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=16, choices=RunState, default=RunState.QUEUED)
    requester_id = models.CharField(max_length=64)
    requester = models.CharField(max_length=120)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    problem = models.TextField(blank=True)
    cancel_requested_at = models.DateTimeField(null=True)
    beat_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        ordering = ("-created_at",)

    @property
    def is_final(self) -> bool:
        return self.state not in UNDER_WAY

    @property
    def percent(self) -> int | None:
        return min(100, self.done * 100 // self.total) if self.total else None


class Verification(Run):
    """A verification of the live log; one at a time.

    findings: integrity, completeness, cannot and notes, each a list of sentences.
    """

    since_last = models.BooleanField(default=False)
    exit_code = models.SmallIntegerField(null=True)
    origin = models.CharField(max_length=200, blank=True)
    findings = models.JSONField(default=dict)

    class Meta(Run.Meta):
        constraints = [
            models.UniqueConstraint(
                models.Value(1),
                condition=Q(state__in=["queued", "running"]),
                name="one_verification_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"verification of {self.created_at}"


class Export(Run):
    """An export too large for a page to wait for. `query` is its filter as texts; `stored` is the
    finished file's name in the folder of exports, empty until it is whole; `size` is in bytes.
    Row and file go a day after it was made: the log keeps that it was."""

    format = models.CharField(max_length=16)
    query = models.JSONField(default=dict)
    language = models.CharField(max_length=16)
    stored = models.CharField(max_length=80, blank=True)
    size = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.format} of {self.created_at}"


class OutsideCopy(models.Model):
    """How a copy of the log outside the house stands; a row a place, written by the forwarder.

    `position`: events of `tree` that were confirmed. `size`: leaves of the newest signed head
    there. `problem` is empty while all is well, `since` says from when it is not.
    """

    name = models.CharField(primary_key=True, max_length=32)
    address = models.CharField(max_length=300)
    tree = models.PositiveSmallIntegerField(default=0)
    position = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    confirmed_at = models.DateTimeField(null=True)
    beat_at = models.DateTimeField(db_default=Now())
    problem = models.TextField(blank=True)
    since = models.DateTimeField(null=True)

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "outside copies"

    def __str__(self) -> str:
        return self.name

    @property
    def is_silent(self) -> bool:
        """Nobody tends it: the forwarder is away."""
        return timezone.now() - self.beat_at > SILENT


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


class RetentionPolicy(models.Model):
    """How long events are kept, in days; the newest row holds. `outside_days`: exports, and what
    was sent outside. Rows come in by an approved proposal only, never below the floors, and none
    is changed: a trigger and constraints hold that."""

    days = models.PositiveIntegerField()
    outside_days = models.PositiveIntegerField()
    proposal_id = models.UUIDField(null=True, unique=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "retention policies"
        constraints = [
            models.CheckConstraint(
                condition=Q(days__gte=183, days__lte=36_500), name="retention_above_the_floor"
            ),
            models.CheckConstraint(
                condition=Q(outside_days__gte=1096, outside_days__lte=36_500),
                name="retention_outside_above_the_floor",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.days} days, {self.outside_days} outside"


class HoldKind(models.TextChoices):
    EVENT = "event", _("One event")
    PERSON = "person", _("A person")
    DEPLOYMENT = "deployment", _("A deployment")
    PERIOD = "period", _("A period")


class Hold(models.Model):
    """A legal hold: what it covers is kept, whatever the policy says, until it is released.

    `value`: the id of the event, person or deployment; `label` the deployment's name, by which
    requests name it. A period is from `from_at` to before `to_at`. Nothing of it changes but its
    release, which an approved proposal (`release_id`) makes.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=HoldKind)
    value = models.CharField(max_length=200, blank=True)
    label = models.CharField(max_length=200, blank=True)
    from_at = models.DateTimeField(null=True)
    to_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500)
    set_by = models.UUIDField()
    set_at = models.DateTimeField(db_default=Now())
    released_at = models.DateTimeField(null=True)
    release_id = models.UUIDField(null=True)

    class Meta:
        ordering = ("-set_at", "pk")
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=HoldKind.values), name="hold_kind_known"),
            models.CheckConstraint(
                condition=Q(kind="period", from_at__isnull=False, to_at__gt=models.F("from_at"))
                | (~Q(kind="period") & ~Q(value="")),
                name="hold_covers_something",
            ),
            models.CheckConstraint(
                condition=Q(released_at=None, release_id=None)
                | Q(released_at__isnull=False, release_id__isnull=False),
                name="hold_released_by_proposal",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="hold_has_a_reason"),
        ]
        indexes = [
            models.Index(fields=["kind"], name="hold_in_force", condition=Q(released_at=None))
        ]

    def __str__(self) -> str:
        return f"hold on {self.kind} {self.value}"
