"""People, service accounts, teams, grants and keys. Constraints are the database's first."""

from __future__ import annotations

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.roles import ADMINISTRATORS, Role
from audit.ledger.event import Obj


class UserKind(models.TextChoices):
    PERSON = "person", _("Person")
    SERVICE = "service", _("Service account")


class UserManager(BaseUserManager["User"]):
    """Finds people by name without regard to case. Accounts are created by access.actions only."""

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(username__iexact=username)

    def people(self) -> models.QuerySet[User]:
        return self.filter(kind=UserKind.PERSON)

    def service_accounts(self) -> models.QuerySet[User]:
        return self.filter(kind=UserKind.SERVICE)


class User(AbstractBaseUser):
    """A person or a service account. One role each: the column holds one value, so roles exclude
    one another in the database itself."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = models.CharField(_("user name"), max_length=64)
    display_name = models.CharField(_("display name"), max_length=120, blank=True)
    kind = models.CharField(max_length=16, choices=UserKind, default=UserKind.PERSON)
    role = models.CharField(_("role"), max_length=16, choices=Role, default=Role.MEMBER)
    is_active = models.BooleanField(default=True)
    must_change_password = models.BooleanField(default=False)
    created_by = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    USERNAME_FIELD = "username"
    objects = UserManager()

    class Meta:
        ordering = ("username",)
        constraints = [
            models.UniqueConstraint(Lower("username"), name="user_name_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="user_role_known"),
            models.CheckConstraint(condition=Q(kind__in=UserKind.values), name="user_kind_known"),
            models.CheckConstraint(
                condition=Q(kind=UserKind.PERSON) | Q(role=Role.MEMBER),
                name="service_account_is_no_administrator",
            ),
        ]

    def __str__(self) -> str:
        return self.display_name or self.username

    @property
    def is_service(self) -> bool:
        return self.kind == UserKind.SERVICE

    @property
    def is_administrator(self) -> bool:
        return self.role in ADMINISTRATORS

    def as_obj(self) -> Obj:
        kind = "service_account" if self.is_service else "user"
        return Obj(kind, str(self.pk), self.username, personal=not self.is_service)


class Team(models.Model):
    """People and service accounts that are granted deployments together."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=80)
    description = models.CharField(_("description"), max_length=300, blank=True)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name",)
        constraints = [models.UniqueConstraint(Lower("name"), name="team_name_once")]

    def __str__(self) -> str:
        return self.name

    def as_obj(self) -> Obj:
        return Obj("team", str(self.pk), self.name)


class Membership(models.Model):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.team_id}"


class Grant(models.Model):
    """A team, a person or a service account may use a deployment.

    The deployment is named by id: this room stands before `deployments`, which adds the foreign
    key in a migration of its own. `deployment_name` is a copy for people; names never change.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment_id = models.UUIDField()
    deployment_name = models.CharField(max_length=63)
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="grants")
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="grants")
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("deployment_name", "created_at")
        constraints = [
            models.CheckConstraint(
                condition=Q(team__isnull=False, user__isnull=True)
                | Q(team__isnull=True, user__isnull=False),
                name="grant_to_exactly_one",
            ),
            models.UniqueConstraint(fields=["deployment_id", "team"], name="grant_team_once"),
            models.UniqueConstraint(fields=["deployment_id", "user"], name="grant_user_once"),
        ]

    def __str__(self) -> str:
        return f"{self.deployment_name} to {self.holder}"

    @property
    def holder(self) -> Team | User | None:
        return self.team or self.user


class KeyQuerySet(models.QuerySet["Key"]):
    def valid(self) -> KeyQuerySet:
        now = timezone.now()
        return self.filter(revoked_at=None, owner__is_active=True).filter(
            Q(expires_at=None) | Q(expires_at__gt=now)
        )


class Key(models.Model):
    """A secret of a person or service account. Only its SHA-256 is stored: 256 random bits need
    no slow hash, and the gateway looks it up in memory."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(max_length=16)
    sha256 = models.BinaryField(unique=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(null=True)

    objects = KeyQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def is_valid(self) -> bool:
        return self.revoked_at is None and not self.is_expired

    def as_obj(self) -> Obj:
        return Obj("key", str(self.pk), self.prefix)
