"""How the office's acts are applied when a second person has agreed (access.second_person)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from access import policy, second_person
from access.models import User
from access.roles import Role
from audit.ledger import log, proofs
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.models import KeyChange
from audit.office import actions
from audit.office.actions.content import Wish
from audit.office.content.terms import Terms, in_force

Arguments = Mapping[str, Any]
# Whoever asked is out of it, whichever of the two roles they have.
BOTH = (Role.SECURITY, Role.AUDIT)


def register() -> None:
    second_person.register(
        Act.CAPTURE_SET, roles=BOTH, apply=_capture, fingerprint=_policy_in_force
    )
    second_person.register(Act.CONTENT_OPEN, roles=BOTH, apply=_open)
    second_person.register(Act.USER_ERASE, roles=BOTH, apply=_erase, fingerprint=_account)
    second_person.register(
        Act.AUDIT_NEW_KEY, roles=BOTH, apply=_leave_word, fingerprint=lambda _: proofs.key_in_use()
    )


def _capture(actor: Actor, arguments: Arguments) -> object:
    return actions.set_capture(
        actor=actor,
        deployment_id=UUID(arguments["deployment_id"]),
        deployment_name=arguments["deployment_name"],
        terms=Terms(**arguments["terms"]),
    )


def _policy_in_force(arguments: Arguments) -> str:
    found = in_force(UUID(arguments["deployment_id"]))
    return str(found.pk) if found else "none"


def _open(actor: Actor, arguments: Arguments) -> object:
    return actions.open_content(actor=actor, wish=Wish.of(arguments))


def _erase(actor: Actor, arguments: Arguments) -> object:
    person = User.objects.get(pk=arguments["person_id"])
    return actions.erase_user(actor=actor, person=person, basis=arguments["basis"])


def _account(arguments: Arguments) -> str:
    person = User.objects.get(pk=arguments["person_id"])
    return f"{person.is_active} {person.role} {person.erased_at}"


def _leave_word(actor: Actor, _arguments: Arguments) -> object:
    """For the sealer, which looks for it every few seconds and records the change itself."""
    policy.require(actor, Act.AUDIT_NEW_KEY)
    return KeyChange.objects.create(proposal_id=log.approval_id())
