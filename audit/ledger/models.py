"""The tables of the log. Rows come in through ledger.log alone; nothing updates or deletes them."""

from __future__ import annotations

from django.db import models


class Event(models.Model):
    """One event. `leaf` is the evidence; the other columns find it and are derived from it.

    The object columns are those of the first object, Mention has the others. There is no index by
    time: ids are UUIDv7, so a span of time is a span of ids.
    """

    id = models.UUIDField(primary_key=True)
    leaf = models.BinaryField()
    leaf_hash = models.BinaryField()
    created_at = models.DateTimeField(db_default=models.functions.Now())
    at = models.DateTimeField()
    writer = models.TextField(blank=True)
    boot = models.UUIDField(null=True)
    wseq = models.BigIntegerField(null=True)
    act = models.TextField()
    outcome = models.TextField()
    severity = models.SmallIntegerField()
    actor_kind = models.TextField()
    actor_id = models.TextField(blank=True)
    key_id = models.TextField(blank=True)
    object_type = models.TextField(blank=True)
    object_id = models.TextField(blank=True)
    object_label = models.TextField(blank=True)
    deployment = models.TextField(blank=True)
    request_id = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["boot", "wseq"],
                name="event_numbered_once",
                condition=models.Q(wseq__isnull=False),
            ),
            models.CheckConstraint(
                condition=models.Q(
                    outcome__in=["success", "failure", "denied", "error", "aborted"]
                ),
                name="event_outcome_known",
            ),
            models.CheckConstraint(
                condition=models.Q(wseq__isnull=True) | models.Q(boot__isnull=False),
                name="event_number_has_boot",
            ),
        ]
        indexes = [
            models.Index(fields=["actor_id", "-id"], name="event_by_actor"),
            models.Index(fields=["act", "-id"], name="event_by_act"),
            models.Index(fields=["outcome", "-id"], name="event_by_outcome"),
            models.Index(fields=["object_id", "-id"], name="event_by_object"),
            models.Index(fields=["deployment", "-id"], name="event_by_deployment"),
            models.Index(fields=["request_id"], name="event_by_request"),
            models.Index(
                fields=["object_label", "-id"],
                name="event_by_label",
                condition=~models.Q(object_label=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.outcome} {self.id}"


class Personal(models.Model):
    """The personal values of one event and the key of the commitments that stand for them."""

    event = models.OneToOneField(
        Event, on_delete=models.DO_NOTHING, primary_key=True, related_name="personal"
    )
    key = models.BinaryField()
    ip = models.TextField(blank=True)
    values = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "personal values"
        indexes = [models.Index(fields=["ip", "-event"], name="personal_by_ip")]

    def __str__(self) -> str:
        return f"personal values of {self.event_id}"


class Mention(models.Model):
    """An object of an event besides its first, so that everything about an object is found.

    Its key is its only index, and there is no foreign key to check: it is written with every
    request that is answered, and nothing is ever deleted.
    """

    pk = models.CompositePrimaryKey("object_id", "event_id")
    object_id = models.TextField()
    event = models.ForeignKey(
        Event,
        on_delete=models.DO_NOTHING,
        related_name="mentions",
        db_constraint=False,
        db_index=False,
    )

    def __str__(self) -> str:
        return f"{self.object_id} in {self.event_id}"
