"""Verbs on keys and the service accounts that hold them. A secret is shown once, at issue."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from access.models import Key, User, UserKind
from access.usernames import save_new, valid_username
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change

KEY_START = "fbx_"
PREFIX_LENGTH = 12
MAX_KEYS = 20


def hash_secret(secret: str) -> bytes:
    """SHA-256 of a key's secret, 32 bytes: what is stored and looked up."""
    return hashlib.sha256(secret.encode()).digest()


def create_service_account(*, actor: Actor, username: str, display_name: str = "") -> User:
    """An account for an application: no password, no sign-in, keys only."""
    policy.require(actor, Act.SERVICE_ACCOUNT_CREATE)
    account = User(
        username=valid_username(username),
        display_name=display_name.strip()[:120],
        kind=UserKind.SERVICE,
        created_by_id=None if actor.is_system else actor.id,
    )
    account.set_unusable_password()
    with transaction.atomic():
        save_new(account)
        log.record(actor, Act.SERVICE_ACCOUNT_CREATE, account.as_obj())
    return account


def issue_key(
    *, actor: Actor, owner: User, name: str, expires_at: datetime | None = None
) -> tuple[Key, str]:
    """A new key of `owner` and its secret (`fbx_` and 43 characters, 256 random bits)."""
    policy.require(actor, Act.KEY_ISSUE, owner.pk)
    name = " ".join(name.split())
    if not 1 <= len(name) <= 80:
        raise Invalid(_("Give the key a name of 1 to 80 characters."), field="name")
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid(
            _("The key would already have expired. Choose a later day."), field="expires_at"
        )
    secret = KEY_START + secrets.token_urlsafe(32)
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=owner.pk)
        if not locked.is_active:
            raise WrongState(_("This account is disabled. Enable it before issuing a key."))
        if locked.keys.filter(revoked_at=None).count() >= MAX_KEYS:
            raise WrongState(
                _("An account may have %(most)d keys. Revoke one first.") % {"most": MAX_KEYS}
            )
        key = Key.objects.create(
            owner=locked,
            name=name,
            prefix=secret[:PREFIX_LENGTH],
            sha256=hash_secret(secret),
            created_by_id=None if actor.is_system else actor.id,
            expires_at=expires_at,
        )
        log.record(
            actor,
            Act.KEY_ISSUE,
            key.as_obj(),
            locked.as_obj(),
            changes=[Change("expires", None, expires_at.isoformat() if expires_at else None)],
        )
    return key, secret


def revoke_key(*, actor: Actor, key: Key) -> Key:
    """Stop a key for good; the gateway refuses it within a second. Twice changes nothing.

    Security administrators may revoke any key, everyone their own.
    """
    if str(key.owner_id) != actor.id:
        policy.require(actor, Act.KEY_REVOKE, key.pk)
    with transaction.atomic():
        locked = Key.objects.select_for_update().get(pk=key.pk)
        if locked.revoked_at is None:
            locked.revoked_at = timezone.now()
            locked.save(update_fields=["revoked_at"])
            log.record(actor, Act.KEY_REVOKE, locked.as_obj(), locked.owner.as_obj())
    return locked
