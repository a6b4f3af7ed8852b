"""The verb on the key that signs the log: two people decide that it changes, the sealer does it."""

from __future__ import annotations

from django.utils.translation import gettext_noop

from access import actions as access
from access import policy
from access.models import Proposal
from access.second_person import Line
from audit.ledger import proofs
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj

KEY = gettext_noop("Signing key")
NEW = gettext_noop("a new one, named by the one in use")


def request_new_key(*, actor: Actor, reason: str) -> Proposal:
    """Propose that the sealer changes its key. Certificates handed out stay good: the old key
    names the new one in the log."""
    policy.require(actor, Act.AUDIT_NEW_KEY)
    return access.request(
        actor=actor,
        act=Act.AUDIT_NEW_KEY,
        target=Obj("log", "key"),
        difference=[Line(KEY, proofs.key_in_use(), NEW, worded=True)],
        arguments={},
        reason=reason,
    )
