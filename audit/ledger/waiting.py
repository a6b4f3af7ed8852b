"""What is durable and not sealed yet: in the intake, or filed and without a position."""

from __future__ import annotations

from datetime import datetime

from audit.ledger.models import Event, Intake, Pending


def count() -> int:
    return Intake.objects.count() + Pending.objects.count()


def since() -> datetime | None:
    """When the oldest of them was stored; None when nothing waits."""
    oldest = Pending.objects.order_by("number").first()
    moments = [
        Event.objects.filter(pk=oldest.event_id).values_list("created_at", flat=True).first()
        if oldest
        else None,
        Intake.objects.order_by("number").values_list("created_at", flat=True).first(),
    ]
    return min((moment for moment in moments if moment), default=None)
