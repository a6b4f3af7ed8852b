"""Verifying the log, and acknowledging that it was rolled back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.certificate import Certificate
from audit.ledger.check import Verification
from audit.ledger.connection import conninfo
from audit.ledger.log import Obj
from audit.ledger.models import Acknowledgement, Sealer, SealerState
from audit.ledger.report import FINE, Report
from audit.office import outside_heads, runs, wake
from audit.office import search as searching
from audit.office.models import UNDER_WAY
from audit.office.models import Verification as Run

MAX_REASON = 500


def verify(
    *,
    actor: Actor,
    certificate: Certificate | None,
    since_last: bool = False,
    outside: Sequence[str] = (),
    bytes_only: bool = False,
    details: Mapping[str, str] | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> Report:
    """Verify the live log against what was signed; the verdict is an event.

    since_last: only what was added since the last verification that found nothing.
    outside: checkpoints that were kept elsewhere. bytes_only: what is sealed, and not what events
    are found by; it is no verification that a later one goes on from.
    """
    policy.require(actor, Act.AUDIT_VERIFY)
    origin, since = searching.last_verified() if since_last else ("", 0)
    verification = Verification(
        conninfo(),
        certificate,
        since=since,
        since_origin=origin,
        outside=outside,
        kept=outside_heads.notes,
        beside=not bytes_only,
        progress=progress,
    )
    report = verification.run()
    outside_heads.check(report, verification.tree, verification.since)
    with transaction.atomic():
        log.record(
            actor,
            Act.AUDIT_VERIFY,
            Obj("log", report.origin, report.origin),
            outcome="success" if report.exit_code == FINE else "failure",
            reason=report.first,
            details={
                "exit_code": report.exit_code,
                "events": report.events,
                "size": report.size,
                "origin": report.origin,
                "newest": report.newest,
                "checkpoints": report.checkpoints,
                "removed": report.removed,
                "since": verification.since,
                **({"bytes_only": True} if bytes_only else {}),
                **(details or {}),
            },
        )
    return report


def request_verification(*, actor: Actor, since_last: bool = False) -> Run:
    """Have a worker verify the log; one that is under way is shared."""
    policy.require(actor, Act.AUDIT_REQUEST_VERIFICATION)
    with transaction.atomic():
        made, new = Run.objects.get_or_create(
            state__in=UNDER_WAY,
            defaults={
                "since_last": since_last,
                "requester_id": actor.id,
                "requester": actor.name,
            },
        )
        if new:
            log.record(actor, Act.AUDIT_REQUEST_VERIFICATION, Obj("verification", str(made.pk)))
            transaction.on_commit(lambda: wake.verification(made.pk))
    return made


def cancel_verification(*, actor: Actor, run: Run) -> Run:
    """Ask the worker to stop; one that nobody has begun ends at once."""
    policy.require(actor, Act.AUDIT_CANCEL_VERIFICATION)
    with transaction.atomic():
        if not runs.cancel(run):
            raise WrongState(_("This verification has already ended."))
        log.record(actor, Act.AUDIT_CANCEL_VERIFICATION, Obj("verification", str(run.pk)))
    run.refresh_from_db()
    return run


def acknowledge_rollback(*, actor: Actor, incident: UUID, reason: str) -> None:
    """Say that one has seen that the log was rolled back. After two people the sealer goes on."""
    policy.require(actor, Act.AUDIT_ACKNOWLEDGE)
    reason = reason.strip()
    if not reason or len(reason) > MAX_REASON:
        raise Invalid(_("Say what happened, in up to 500 characters."), field="reason")
    with transaction.atomic():
        if not Sealer.objects.filter(state=SealerState.ROLLBACK, incident=incident).exists():
            raise WrongState(_("There is no such rollback to acknowledge any more."))
        if Acknowledgement.objects.filter(incident=incident, person_id=actor.id).exists():
            raise WrongState(_("You have acknowledged this; another administrator must, too."))
        Acknowledgement.objects.create(incident=incident, person_id=actor.id, reason=reason)
        log.record(actor, Act.AUDIT_ACKNOWLEDGE, Obj("incident", str(incident)), reason=reason)
