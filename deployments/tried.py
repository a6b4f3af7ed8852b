"""What is kept of trials: texts of one's own, for a short time, and what a revision was chosen by.

Loaded by deployments.models; whoever needs them imports them from there.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from deployments.served import Revision


class OwnSample(models.Model):
    """A text that somebody typed to try a scenario with, and what the models answered to it:
    {model's id: {"text", "problems"}}. For the eyes of whoever typed it; the row is deleted an
    hour after the trial (deployments.own_samples), so nothing of it is in the operation itself."""

    operation = models.ForeignKey(
        "deployments.Operation", on_delete=models.CASCADE, related_name="own_samples"
    )
    number = models.PositiveSmallIntegerField()
    text = models.TextField()
    fields = models.JSONField(default=dict)
    words = models.JSONField(default=list)
    answers = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("number",)
        constraints = [
            models.UniqueConstraint(fields=["operation", "number"], name="own_sample_once")
        ]

    def __str__(self) -> str:
        return f"own sample {self.number} of {self.operation_id}"


class EvaluationKind(models.TextChoices):
    """More kinds come here: case sets of the organisation's own, say."""

    SAMPLES = "samples", _("Samples of its scenario")


class Evaluation(models.Model):
    """What was found out about a revision; `result` as its kind says (deployments.trials)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="evaluations")
    kind = models.CharField(max_length=16, choices=EvaluationKind)
    operation = models.ForeignKey(
        "deployments.Operation", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    result = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.kind} of {self.revision_id}"
