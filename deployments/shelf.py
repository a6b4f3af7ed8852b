"""What is kept of models beside where they are stored: approvals, uploads and their files.

Imported by deployments.models, which is where the rest of the house finds these rows.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from access.models import User
from audit.ledger.event import Obj


class Approval(models.Model):
    """Leave to deploy the model of this digest. By digest and without a foreign key: it outlives
    the last copy, so that a model that comes back is still approved."""

    digest = models.CharField(max_length=64, primary_key=True)
    name = models.CharField(max_length=255)
    licence_sha256 = models.CharField(max_length=64, blank=True)
    approved_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    approver = models.CharField(max_length=120)
    approved_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def licence_accepted(self) -> bool:
        return bool(self.licence_sha256)


class UploadState(models.TextChoices):
    OPEN = "open", _("Being sent")
    COMPLETE = "complete", _("Complete")
    IMPORTED = "imported", _("Imported")
    DISCARDED = "discarded", _("Discarded")


class Upload(models.Model):
    """Files on their way from a browser or a program to a node. `base` is the tag that an adapter
    is for; `quantize` the form that the node brings the weights into."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=200)
    node = models.ForeignKey("deployments.Node", on_delete=models.CASCADE, related_name="+")
    base = models.CharField(max_length=255, blank=True)
    quantize = models.CharField(max_length=16, blank=True)
    state = models.CharField(max_length=16, choices=UploadState, default=UploadState.OPEN)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    touched_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-created_at",)
        indexes = [models.Index(fields=["state", "touched_at"], name="upload_by_state")]

    def __str__(self) -> str:
        return self.name

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.all())

    def as_obj(self) -> Obj:
        return Obj("upload", str(self.pk), self.name)


class UploadedFile(models.Model):
    """One file of an upload: `received` of `size` bytes are here. On disk it is called by its key,
    never by the name somebody gave it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=120)
    size = models.BigIntegerField()
    received = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["upload", "name"], name="uploaded_name_once"),
            models.CheckConstraint(
                condition=models.Q(received__lte=models.F("size")), name="uploaded_not_beyond_size"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Answered(models.Model):
    """The answer given to a creating call of the API under its Idempotency-Key."""

    caller = models.CharField(max_length=64)
    key = models.CharField(max_length=200)
    asked_sha256 = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    body = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="answered_once")]
        indexes = [models.Index(fields=["created_at"], name="answered_by_age")]

    def __str__(self) -> str:
        return self.key
