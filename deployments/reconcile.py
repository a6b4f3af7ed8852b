"""Comparing what is wished with what nodes said last, and handing every gap to a worker.

One leader at a time, by an advisory lock of PostgreSQL. It does nothing itself: an operation does,
one at a time for each deployment, so that two rounds never do the same work twice.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Max, Q
from django.utils import timezone

from audit.ledger.actor import Actor
from deployments.actions.operations import enqueue
from deployments.look import look
from deployments.models import (
    UNDER_WAY,
    Deployment,
    DeploymentState,
    GatewayReport,
    Node,
    Operation,
    OperationKind,
    OperationState,
)

RECONCILER = Actor.system("reconciler")
LOCK = 0x46555345424F58
# After a failed repair: the same again helps rarely, and at once never.
PAUSE = timedelta(seconds=60)
FORGET = timedelta(minutes=5)


def reconcile() -> list[Operation]:
    """One round. Returns the operations that it put on the list; none when another one leads."""
    with transaction.atomic():
        if not _leads():
            return []
        GatewayReport.objects.filter(seen_at__lt=timezone.now() - FORGET).delete()
        Operation.objects.filter(
            state=OperationState.QUEUED, retry_at__isnull=False, deployment__isnull=False
        ).filter(_node_is_back()).update(retry_at=None)
        return [found for deployment in _idle() if (found := _close_gap(deployment)) is not None]


def _leads() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def _node_is_back() -> Q:
    """What waits for a node is done as soon as no node of its replicas is away."""
    away = Node.objects.filter(status="unreachable").values("pk")
    return ~Q(deployment__revisions__replicas__node__in=away)


def _idle() -> list[Deployment]:
    """Deployments on which nobody works and about which the nodes said something since."""
    busy = Operation.objects.filter(state__in=UNDER_WAY, deployment__isnull=False).values(
        "deployment"
    )
    late = Operation.objects.filter(
        state=OperationState.FAILED,
        kind=OperationKind.REPAIR,
        finished_at__gt=timezone.now() - PAUSE,
        deployment__isnull=False,
    ).values("deployment")
    rows = (
        Deployment.objects.exclude(state=DeploymentState.DELETED)
        .exclude(pk__in=busy)
        .exclude(pk__in=late)
        .with_revisions()
        .order_by("name")
    )
    newest = Node.objects.aggregate(at=Max("checked_at"))["at"]
    ended = dict(
        Operation.objects.exclude(deployment=None)
        .values_list("deployment")
        .annotate(Max("finished_at"))
    )
    return [d for d in rows if not (at := ended.get(d.pk)) or (newest and at < newest)]


def _close_gap(deployment: Deployment) -> Operation | None:
    """An operation for what is to be done; the row is locked, so that no verb comes between."""
    view = look(deployment)
    if deployment.target is None or view.decide().step is None:
        return None
    locked = Deployment.objects.select_for_update(skip_locked=True).filter(
        pk=deployment.pk, version=deployment.version
    )
    if not locked.exists() or deployment.operations.filter(state__in=UNDER_WAY).exists():
        return None
    if deployment.state == DeploymentState.FAILED:
        Deployment.objects.filter(pk=deployment.pk).update(state=DeploymentState.STARTING)
    return enqueue(
        RECONCILER,
        OperationKind.REPAIR,
        deployment.name,
        deployment=deployment,
        revision=deployment.target,
    )
