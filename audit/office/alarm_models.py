"""Alarms, their rules, where they are sent, and each sending. Ids, not people's names."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from audit.ledger.event import Obj


class AlarmRule(models.Model):
    """What was set of a rule, and how far it has looked. The rules themselves are in
    alarming.rules; a row is there once its rule was set or asked.

    `values`: thresholds that differ from their defaults. `seen`: what the rule keeps between two
    looks. `problem` says why its last look failed.
    """

    key = models.CharField(primary_key=True, max_length=40)
    values = models.JSONField(default=dict)
    resting = models.BooleanField(default=False)
    seen = models.JSONField(default=dict)
    looked_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.key


class Verdict(models.TextChoices):
    EXPECTED = "expected", _("Expected: planned work, or a test")
    FALSE = "false", _("False alarm: nothing was wrong")
    FAULT = "fault", _("A fault, and it is dealt with")
    INCIDENT = "incident", _("An incident: it is being looked into")


class AlarmQuerySet(models.QuerySet["Alarm"]):
    def open(self) -> AlarmQuerySet:
        return self.filter(closed_at=None)

    def waiting(self) -> AlarmQuerySet:
        """Nobody has said a word about it, whether it still stands or has passed."""
        return self.filter(acknowledged_at=None)


class Alarm(models.Model):
    """Something that a person must look at. One that is open for a rule, a subject and a part of
    it is seen again rather than opened twice.

    `subject_label` is empty for people: their names are looked up. `facts` are the figures of its
    sentence; `query` finds in the log what is behind it. `count`: how often it was seen, of events
    how many.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.CharField(max_length=40)
    subject_type = models.CharField(max_length=40, blank=True)
    subject_id = models.CharField(max_length=200, blank=True)
    subject_label = models.CharField(max_length=200, blank=True)
    part = models.CharField(max_length=255, blank=True)
    facts = models.JSONField(default=dict)
    query = models.JSONField(default=dict)
    count = models.PositiveIntegerField(default=1)
    opened_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)

    objects = AlarmQuerySet.as_manager()

    class Meta:
        ordering = ("-opened_at", "pk")
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject_type", "subject_id", "part"],
                condition=Q(closed_at=None),
                name="one_open_alarm_a_subject",
            )
        ]
        indexes = [
            models.Index(fields=["rule", "subject_type", "subject_id"], name="alarm_by_subject"),
            models.Index(
                fields=["-opened_at"], condition=Q(acknowledged_at=None), name="alarm_waiting"
            ),
            models.Index(fields=["-opened_at"], name="alarm_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.subject_type} {self.subject_id}"

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    def as_obj(self) -> Obj:
        return Obj("alarm", str(self.pk), self.rule)


class AlarmSighting(models.Model):
    """An event behind an alarm. An event counts once for a rule, however often it is looked at."""

    alarm = models.ForeignKey(Alarm, on_delete=models.CASCADE, related_name="sightings")
    rule = models.CharField(max_length=40)
    event_id = models.UUIDField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rule", "event_id"], name="event_once_a_rule")
        ]

    def __str__(self) -> str:
        return f"{self.event_id} for {self.rule}"


class AlarmWord(models.Model):
    """What somebody said of an alarm. Words are added, never changed."""

    alarm = models.ForeignKey(Alarm, on_delete=models.CASCADE, related_name="words")
    person_id = models.CharField(max_length=64)
    verdict = models.CharField(max_length=16, choices=Verdict)
    text = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.verdict} by {self.person_id}"


class ChannelKind(models.TextChoices):
    EMAIL = "email", _("E-mail")
    WEBHOOK = "webhook", _("Webhook")


class Channel(models.Model):
    """Where alarms are sent: addresses of people by e-mail, or a program's by HTTP.

    `address`: e-mail addresses, a comma between them, or a URL. `sealed` is the webhook's signing
    key. `least` is the severity from which it is told; `per_hour` how many messages it gets at
    most, the rest is summed up.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=16, choices=ChannelKind)
    address = models.TextField()
    language = models.CharField(max_length=16, default="en")
    least = models.PositiveSmallIntegerField(default=3)
    per_hour = models.PositiveSmallIntegerField(default=10)
    sealed = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name",)
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=ChannelKind.values), name="channel_kind_known"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def as_obj(self) -> Obj:
        return Obj("channel", str(self.pk), self.name)


class NoticeKind(models.TextChoices):
    ALARM = "alarm", _("An alarm")
    SUMMARY = "summary", _("A summary")
    TEST = "test", _("A test")


class NoticeState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    SENDING = "sending", _("Being sent")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Given up")


class Notice(models.Model):
    """One message to one channel, until it has arrived or was given up. Who sends it holds it by a
    lease: a killed worker's runs out, and another sends it.

    `alarms` are the ids it tells of; `problem` why the last attempt failed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=16, choices=NoticeKind)
    alarms = models.JSONField(default=list)
    state = models.CharField(max_length=16, choices=NoticeState, default=NoticeState.WAITING)
    attempt = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    worker = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    problem = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at", "pk")
        constraints = [
            models.UniqueConstraint(
                fields=["channel"],
                condition=Q(kind="summary", state="waiting", attempt=0),
                name="one_summary_waits_a_channel",
            )
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=Q(state__in=["waiting", "sending"]),
                name="notice_due",
            ),
            models.Index(fields=["channel", "-created_at"], name="notice_by_channel"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.channel_id}"


class KeyHour(models.Model):
    """How many requests a key made in one hour; kept for as long as the rule looks back."""

    key_id = models.CharField(max_length=64)
    hour_at = models.DateTimeField()
    requests = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key_id", "hour_at"], name="hour_once")]
        indexes = [models.Index(fields=["hour_at"], name="key_hour_by_time")]

    def __str__(self) -> str:
        return f"{self.requests} by {self.key_id} at {self.hour_at}"


class SeenAddress(models.Model):
    """From where an administrator has signed in; of IPv6 the network (/64), which is what stays."""

    person_id = models.CharField(max_length=64)
    network = models.CharField(max_length=64)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person_id", "network"], name="address_once_a_person")
        ]
        verbose_name_plural = "seen addresses"

    def __str__(self) -> str:
        return f"{self.person_id} from {self.network}"
