"""What the office keeps of outsiders' words on the log: time-stamps, witnesses, cosignatures.

`audit.office.models` shows them to Django.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Lower, Now

from audit.ledger.cosignature import WitnessKey
from audit.ledger.event import Obj


class TimeStamp(models.Model):
    """An authority's word (RFC 3161) that it was shown a signed head, and when.

    `note` is the head as it was shown, `token` the whole answer, `at` the time in it.
    """

    tree = models.PositiveSmallIntegerField()
    size = models.BigIntegerField()
    note = models.TextField()
    token = models.BinaryField()
    at = models.DateTimeField()
    authority = models.CharField(max_length=300)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("tree", "size", "pk")
        indexes = [models.Index(fields=["tree", "size"], name="time_stamp_by_size")]

    def __str__(self) -> str:
        return f"{self.tree}:{self.size} at {self.at}"


class Witness(models.Model):
    """A program on somebody else's machine that confirms heads. It asks with a secret of its own
    and signs with a key that only it has; what it saw last is here, too, for people.

    `alarm`: what it, or the console on its behalf, found; until somebody settles it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80)
    vkey = models.CharField(max_length=200, unique=True)
    sha256 = models.BinaryField(unique=True)
    registered_by = models.CharField(max_length=120)
    created_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True)
    tree = models.PositiveSmallIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    confirmed_at = models.DateTimeField(null=True)
    late_since = models.DateTimeField(null=True)
    alarm = models.TextField(blank=True)
    alarm_at = models.DateTimeField(null=True)
    alarm_note = models.TextField(blank=True)

    # For the API's own question whether somebody is signed in.
    is_authenticated = True
    is_active = True

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "witnesses"
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                condition=models.Q(revoked_at=None),
                name="witness_name_once",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> WitnessKey:
        return WitnessKey.parse(self.vkey)

    def as_obj(self) -> Obj:
        return Obj("witness", str(self.pk), self.name)


class Cosignature(models.Model):
    """A witness's word on one head. `note` is the head as the sealer signed it, `line` the
    witness's signature, `at` its time. Of each hour the last is kept."""

    witness = models.ForeignKey(Witness, on_delete=models.PROTECT, related_name="cosignatures")
    tree = models.PositiveSmallIntegerField()
    size = models.BigIntegerField()
    note = models.TextField()
    line = models.TextField()
    at = models.DateTimeField()

    class Meta:
        ordering = ("tree", "size", "at")
        indexes = [
            models.Index(fields=["tree", "size"], name="cosignature_by_size"),
            models.Index(fields=["witness", "-at"], name="cosignature_by_witness"),
        ]

    def __str__(self) -> str:
        return f"{self.tree}:{self.size} by {self.witness_id}"
