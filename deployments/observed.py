"""What was seen: the history of a node's checks, and what each gateway says is under way.

Loaded by deployments.models, and nothing else imports it.
"""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import timedelta

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

FRESH = timedelta(seconds=10)


class NodeCheck(models.Model):
    """One round of questions to one node. `proof_ms`: how long a real answer took, if any."""

    node = models.ForeignKey("deployments.Node", on_delete=models.CASCADE, related_name="checks")
    at = models.DateTimeField(db_default=Now())
    status = models.CharField(max_length=16)
    proof_ms = models.PositiveIntegerField(null=True)
    memory = models.BigIntegerField(default=0)

    class Meta:
        ordering = ("-at",)
        indexes = [models.Index(fields=["node", "-at"], name="check_by_node")]

    def __str__(self) -> str:
        return f"{self.node_id} {self.status}"


class GatewayReport(models.Model):
    """What one gateway process has under way on each replica, and as of when it knows its routes.

    Written by the gateway; a worker that drains a replica reads it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    seen_at = models.DateTimeField(db_default=Now())
    loaded_at = models.DateTimeField(db_default=Now())
    in_flight = models.JSONField(default=dict)

    def __str__(self) -> str:
        return str(self.id)


def in_flight() -> Counter[str]:
    """Requests under way by replica, as every gateway that is there says."""
    found: Counter[str] = Counter()
    for report in GatewayReport.objects.filter(seen_at__gt=timezone.now() - FRESH):
        found.update({str(replica): int(n) for replica, n in report.in_flight.items()})
    return found
