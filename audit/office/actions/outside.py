"""What happens to the copies outside, as events."""

from __future__ import annotations

from access import policy
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.office.models import OutsideCopy


def outside_copy_late(*, actor: Actor, copy: OutsideCopy, problem: str) -> None:
    """A place outside does not take what it is given. Inside a transaction."""
    policy.require(actor, Act.AUDIT_SINK_DOWN)
    log.record(
        actor,
        Act.AUDIT_SINK_DOWN,
        Obj("outside", copy.name, copy.address),
        outcome="failure",
        reason=problem,
        details={"position": copy.position},
    )


def outside_copy_kept(*, actor: Actor, copy: OutsideCopy) -> None:
    """It takes it again. Inside a transaction."""
    policy.require(actor, Act.AUDIT_SINK_UP)
    log.record(
        actor,
        Act.AUDIT_SINK_UP,
        Obj("outside", copy.name, copy.address),
        details={"position": copy.position},
    )
