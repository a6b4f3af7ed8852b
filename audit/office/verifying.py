"""Verifications in a worker: run, report how far they are, stop when asked, take up what was left.

The row is the truth; the broker only wakes (docs/decisions/0004).
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import DatabaseError
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from audit.ledger.actor import Actor
from audit.ledger.certificate import Certificate, NotTrusted, read_certificate
from audit.ledger.check import Stopped
from audit.ledger.models import Sealer
from audit.office import actions
from audit.office.models import UNDER_WAY, Verification, VerificationState

logger = logging.getLogger(__name__)

STALE = timedelta(seconds=30)
TELL_S = 1.0


def forgotten() -> list[UUID]:
    """Verifications that nobody runs: lost by the broker, or their worker was killed."""
    late = timezone.now() - STALE
    rows = Verification.objects.filter(state__in=UNDER_WAY, beat_at__lt=late)
    return list(rows.values_list("pk", flat=True))


def run(pk: str) -> None:
    """Take up a verification that nobody runs, and finish it. Safe to call twice."""
    stale = Q(state=VerificationState.RUNNING, beat_at__lt=timezone.now() - STALE)
    mine = Verification.objects.filter(Q(state=VerificationState.QUEUED) | stale, pk=pk)
    sealer = Sealer.objects.first()
    total = sealer.size if sealer else 0
    if not mine.update(state=VerificationState.RUNNING, beat_at=Now(), done=0, total=total):
        return
    row = Verification.objects.get(pk=pk)
    try:
        report = actions.verify(
            actor=Actor.system("worker"),
            certificate=own_certificate(settings.LOG_CERTIFICATE),
            since_last=row.since_last,
            details={"requested_by": row.requester_id},
            progress=_Progress(row),
        )
    except Stopped:
        _finish(row, state=VerificationState.CANCELLED)
    except (psycopg.Error, DatabaseError) as error:
        _finish(row, state=VerificationState.FAILED, problem=str(error)[:500])
    else:
        _finish(
            row,
            state=VerificationState.DONE,
            exit_code=report.exit_code,
            origin=report.origin,
            done=report.size,
            total=report.size,
            findings={
                "integrity": report.integrity,
                "completeness": report.completeness,
                "cannot": report.cannot,
                "notes": report.notes,
                "events": report.events,
                "checkpoints": report.checkpoints,
            },
        )


def own_certificate(path: Path) -> Certificate | None:
    """This installation's certificate, if it is here and readable."""
    try:
        return read_certificate(path)
    except NotTrusted as error:
        logger.warning("%s", error)
        return None


class _Progress:
    """Called now and then with the number of leaves checked; raises Stopped when asked to."""

    def __init__(self, row: Verification) -> None:
        self._row = row
        self._told_at = 0.0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._told_at < TELL_S:
            return
        self._told_at = now
        mine = Verification.objects.filter(pk=self._row.pk, state=VerificationState.RUNNING)
        if not mine.filter(cancel_requested_at=None).update(done=done, beat_at=Now()):
            raise Stopped


def _finish(row: Verification, **values: object) -> None:
    mine = Verification.objects.filter(pk=row.pk, state=VerificationState.RUNNING)
    mine.update(finished_at=Now(), beat_at=F("beat_at"), **values)
