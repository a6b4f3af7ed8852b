"""Answering, clause by clause, for the running installation."""

from __future__ import annotations

from django.db import transaction

from access import policy
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.office.evidence import pack
from audit.office.evidence.pack import Pack


def make_evidence(*, actor: Actor, framework: str) -> Pack:
    """Ask the installation every question of a framework; that it was asked is an event."""
    policy.require(actor, Act.AUDIT_MAKE_EVIDENCE)
    made = pack.build(framework)
    with transaction.atomic():
        log.record(
            actor,
            Act.AUDIT_MAKE_EVIDENCE,
            Obj("framework", framework, framework),
            details=dict(made.counts),
        )
    return made
