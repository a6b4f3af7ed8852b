"""Verbs of sign-in and sign-out: access.backends checks the password, these say it happened."""

from __future__ import annotations

from django.db import transaction

from access import policy
from access.models import User
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act


def sign_in(*, actor: Actor, user: User) -> None:
    """Record that `user` signed in; in the transaction that stores the session."""
    policy.require(actor, Act.AUTH_LOGIN)
    with transaction.atomic():
        log.record(actor, Act.AUTH_LOGIN, user.as_obj())


def sign_out(*, actor: Actor, user: User) -> None:
    policy.require(actor, Act.AUTH_LOGOUT)
    with transaction.atomic():
        log.record(actor, Act.AUTH_LOGOUT, user.as_obj())
