"""What this room keeps of people's names: who asked for an operation, who approved a model."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from deployments.models import Approval, Operation

GONE = "–"


def forget(person: UUID, _names: Collection[str]) -> None:
    """Inside the transaction that erases a person (audit.office.content.leftovers)."""
    Operation.objects.filter(requested_by_id=person).update(requester=GONE)
    Approval.objects.filter(approved_by_id=person).update(approver=GONE)
