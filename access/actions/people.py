"""Verbs on people: accounts, roles, passwords. Nobody changes their own rights."""

from __future__ import annotations

import secrets

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from access.models import User, UserKind
from access.roles import ADMINISTRATORS, Role
from access.usernames import save_new, valid_username
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change

# Without 0 O 1 l I: read from a screen and typed by hand.
ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def one_time_password() -> str:
    """Four groups of four characters, 93 bits."""
    groups = ["".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4)]
    return "-".join(groups)


def create_user(
    *, actor: Actor, username: str, display_name: str = "", role: str = Role.MEMBER
) -> tuple[User, str]:
    """A new account and its one-time password. It has no rights until it gets a team or a role.

    Only the house itself (first run) may create an account with an administrator's role at once.
    """
    policy.require(actor, Act.USER_CREATE)
    if role != Role.MEMBER and not actor.is_system:
        policy.require(actor, Act.USER_SET_ROLE)
        raise Invalid(_own_creation_message(), field="role")
    user = User(
        username=valid_username(username),
        display_name=display_name.strip()[:120],
        role=role,
        must_change_password=True,
        created_by_id=None if actor.is_system else actor.id,
    )
    password = one_time_password()
    user.set_password(password)
    with transaction.atomic():
        save_new(user)
        log.record(actor, Act.USER_CREATE, user.as_obj(), changes=[Change("role", None, user.role)])
    return user, password


def set_role(*, actor: Actor, user: User, role: str) -> User:
    """Give another role. Refused for oneself, for service accounts, for the last of an
    administrator's role, and for an account that the actor made (two people make an administrator).
    """
    policy.require(actor, Act.USER_SET_ROLE, user.pk)
    if role not in Role.values:
        raise Invalid(_("There is no such role."), field="role")
    if actor.id == str(user.pk):
        raise Invalid(_("Nobody can change their own role. Ask another administrator."))
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.is_service:
            raise Invalid(_("A service account cannot hold a role."), field="role")
        _not_erased(locked)
        if role in ADMINISTRATORS and str(locked.created_by_id) == actor.id:
            raise Invalid(_own_creation_message(), field="role")
        if role == locked.role:
            return locked
        _keep_one(locked)
        before, locked.role = locked.role, role
        locked.save(update_fields=["role"])
        log.record(
            actor, Act.USER_SET_ROLE, locked.as_obj(), changes=[Change("role", before, role)]
        )
    return locked


def disable_user(*, actor: Actor, user: User) -> User:
    """Close an account: sessions end and keys stop working at once. Nothing is deleted."""
    policy.require(actor, Act.USER_DISABLE, user.pk)
    if actor.id == str(user.pk):
        raise Invalid(_("You cannot disable your own account. Ask another administrator."))
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if not locked.is_active:
            return locked
        _keep_one(locked)
        locked.is_active = False
        locked.save(update_fields=["is_active"])
        log.record(
            actor, Act.USER_DISABLE, locked.as_obj(), changes=[Change("active", True, False)]
        )
    return locked


def enable_user(*, actor: Actor, user: User) -> User:
    policy.require(actor, Act.USER_ENABLE, user.pk)
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.is_active:
            return locked
        _not_erased(locked)
        locked.is_active = True
        locked.save(update_fields=["is_active"])
        log.record(actor, Act.USER_ENABLE, locked.as_obj(), changes=[Change("active", False, True)])
    return locked


def reset_password(*, actor: Actor, user: User) -> str:
    """A new one-time password; every session of the account ends."""
    policy.require(actor, Act.USER_RESET_PASSWORD, user.pk)
    if user.is_service:
        raise Invalid(_("A service account has no password, only keys."))
    password = one_time_password()
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        _not_erased(locked)
        locked.set_password(password)
        locked.must_change_password = True
        locked.save(update_fields=["password", "must_change_password"])
        log.record(actor, Act.USER_RESET_PASSWORD, locked.as_obj())
    return password


def change_password(*, actor: Actor, user: User, old: str, new: str) -> User:
    """Change one's own password. Sessions elsewhere end."""
    policy.require(actor, Act.USER_CHANGE_PASSWORD, user.pk)
    if actor.id != str(user.pk):
        raise Invalid(_("Only the person themselves can choose their password."))
    if not user.check_password(old):
        raise Invalid(_("The present password is not right."), field="old")
    if old == new:
        raise Invalid(_("Choose a password other than the present one."), field="new")
    try:
        validate_password(new, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), field="new") from error
    with transaction.atomic():
        user.set_password(new)
        user.must_change_password = False
        user.save(update_fields=["password", "must_change_password"])
        log.record(actor, Act.USER_CHANGE_PASSWORD, user.as_obj())
    return user


def forget_user(*, actor: Actor, user: User) -> User:
    """Leave nothing of a closed account but its number. Part of the erasure that records it
    (audit.office), in its transaction."""
    policy.require(actor, Act.USER_ERASE, user.pk)
    user.username, user.display_name = f"erased-{user.pk.hex[:12]}", ""
    user.set_unusable_password()
    user.last_login, user.erased_at = None, timezone.now()
    user.save(update_fields=["username", "display_name", "password", "last_login", "erased_at"])
    user.memberships.all().delete()
    user.grants.all().delete()
    user.keys.filter(revoked_at=None).update(revoked_at=timezone.now())
    user.keys.update(name="")
    return user


def _not_erased(user: User) -> None:
    if user.erased_at is not None:
        raise WrongState(_("This person has been erased; the account stays closed."))


def _keep_one(user: User) -> None:
    """Refuse to take away the last active holder of an administrator's role."""
    if user.role not in ADMINISTRATORS:
        return
    others = User.objects.select_for_update().filter(
        role=user.role, is_active=True, kind=UserKind.PERSON
    )
    if not any(other.pk != user.pk for other in others):
        raise WrongState(
            _("This is the last %(role)s. Appoint another one first.")
            % {"role": user.get_role_display()}
        )


def _own_creation_message() -> Promise:
    return _(
        "Two people make an administrator: one creates the account, another gives it the role. "
        "Ask a system administrator to create the account."
    )
