"""Verifications in a worker."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from audit.ledger.actor import Actor
from audit.ledger.certificate import Certificate, NotTrusted, read_certificate
from audit.ledger.check import Stopped
from audit.ledger.models import Sealer
from audit.ledger.report import Report
from audit.office import actions, runs
from audit.office.models import RunState, Verification

logger = logging.getLogger(__name__)


def run(pk: str) -> None:
    """Take up a verification that nobody runs, and finish it. Safe to call twice."""
    sealer = Sealer.objects.first()
    row = runs.take(Verification, pk, total=sealer.size if sealer else 0)
    if row is None:
        return
    try:
        report = actions.verify(
            actor=Actor.system("worker"),
            certificate=own_certificate(settings.LOG_CERTIFICATE),
            since_last=row.since_last,
            details={"requested_by": row.requester_id},
            progress=runs.Progress(row),
        )
    except Stopped:
        runs.finish(row, RunState.CANCELLED)
    except (psycopg.Error, DatabaseError) as error:
        runs.finish(row, RunState.FAILED, problem=str(error)[:500])
    else:
        runs.finish(row, RunState.DONE, **found(report))


def keep(report: Report, *, since_last: bool, requester: str) -> Verification:
    """A verification that somebody ran by hand: the pages know of it, too."""
    return Verification.objects.create(
        state=RunState.DONE,
        since_last=since_last,
        requester=requester,
        finished_at=timezone.now(),
        **found(report),
    )


def found(report: Report) -> dict[str, Any]:
    """What a row keeps of a report."""
    return {
        "exit_code": report.exit_code,
        "origin": report.origin,
        "done": report.size,
        "total": report.size,
        "findings": {
            "integrity": report.integrity,
            "completeness": report.completeness,
            "cannot": report.cannot,
            "notes": report.notes,
            "events": report.events,
            "checkpoints": report.checkpoints,
        },
    }


def own_certificate(path: Path) -> Certificate | None:
    """This installation's certificate, if it is here and readable."""
    try:
        return read_certificate(path)
    except NotTrusted as error:
        logger.warning("%s", error)
        return None
