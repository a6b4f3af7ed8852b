"""What happens to the copies outside, as events; and keeping time-stamps."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from access import policy
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.proofs import Signed
from audit.office.models import OutsideCopy
from audit.office.outside_models import TimeStamp
from audit.office.stamps import Stamp


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


def keep_time_stamp(*, actor: Actor, head: Signed, token: bytes, stamp: Stamp) -> TimeStamp:
    """Keep an authority's word on a head, which was checked; the event has the token's hash."""
    policy.require(actor, Act.AUDIT_TIME_STAMP)
    with transaction.atomic():
        kept = TimeStamp.objects.create(
            tree=head.tree,
            size=head.size,
            note=head.note,
            token=token,
            at=stamp.at,
            authority=stamp.authority[:300],
        )
        log.record(
            actor,
            Act.AUDIT_TIME_STAMP,
            Obj("outside", "tsa", stamp.authority[:300]),
            details={
                "tree": head.tree,
                "size": head.size,
                "at": stamp.at.isoformat(),
                "off_by_s": _seconds_off(stamp.at),
                "sha256": hashlib.sha256(token).hexdigest(),
            },
        )
    return kept


def _seconds_off(at: datetime) -> int:
    """How far the authority's clock and ours are apart."""
    return round(abs((timezone.now() - at).total_seconds()))
