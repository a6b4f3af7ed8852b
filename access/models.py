"""People, service accounts, teams, grants, keys and proposals. Constraints are the database's
first."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.roles import ADMINISTRATORS, Role
from audit.ledger.acts import Act
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
    erased_at = models.DateTimeField(null=True)

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
            models.CheckConstraint(
                condition=Q(erased_at=None) | Q(is_active=False), name="erased_account_is_closed"
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


class ProposalState(models.TextChoices):
    WAITING = "waiting", _("Waiting for a second person")
    APPLIED = "applied", _("Approved and applied")
    REFUSED = "refused", _("Refused")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    EXPIRED = "expired", _("Expired")
    OUTDATED = "outdated", _("Outdated: nothing was applied")


class ProposalQuerySet(models.QuerySet["Proposal"]):
    def waiting(self) -> ProposalQuerySet:
        return self.filter(state=ProposalState.WAITING, expires_at__gt=Now())

    def overdue(self) -> ProposalQuerySet:
        return self.filter(state=ProposalState.WAITING, expires_at__lte=Now())

    def named(self, text: str) -> Proposal | None:
        """The one whose id this text is, if it is one."""
        try:
            return self.select_related("approver").filter(pk=uuid.UUID(text)).first()
        except ValueError:
            return None

    def visible_to(self, user_id: Any, role: str) -> ProposalQuerySet:
        """Those one asked for, may decide or decided; audit administrators see all of them."""
        if role == Role.AUDIT:
            return self.all()
        return self.filter(
            Q(requester_id=user_id) | Q(approver_id=user_id) | Q(roles__contains=[role])
        )

    def for_decision_by(self, user_id: Any, role: str) -> ProposalQuerySet:
        """What waits for this person: asked for by another, for an approver of their role."""
        return self.waiting().filter(roles__contains=[role]).exclude(requester_id=user_id)


class Proposal(models.Model):
    """Something that one person asked for and another must approve before it happens.

    `difference` is what both are shown: rows of label, old, new, and whether it is private;
    `arguments` is what is applied, unchanged. `fingerprint` tells the state of things it was made
    against. `roles`: whose holders may approve. `alone`: applied without a second person, because
    the house has switched that off. A trigger holds all of this against every role of the database:
    what is asked for stays as it is, and the approver is another, active, and of one of the roles.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    act = models.CharField(max_length=64)
    target_type = models.CharField(max_length=32)
    target_id = models.CharField(max_length=200)
    target_label = models.CharField(max_length=200, blank=True)
    difference = models.JSONField(default=list)
    arguments = models.JSONField(default=dict)
    fingerprint = models.CharField(max_length=64)
    reason = models.CharField(max_length=500)
    roles = models.JSONField(default=list)
    state = models.CharField(max_length=16, choices=ProposalState, default=ProposalState.WAITING)
    requester = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    approver = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=500, blank=True)
    alone = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)

    objects = ProposalQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "pk")
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=ProposalState.values), name="proposal_state_known"
            ),
            models.CheckConstraint(
                condition=Q(approver=None) | ~Q(approver=F("requester")),
                name="proposal_needs_another_person",
            ),
            models.CheckConstraint(
                condition=~Q(state="applied") | Q(approver__isnull=False) | Q(alone=True),
                name="proposal_applied_by_approver",
            ),
            models.CheckConstraint(
                condition=~Q(state="refused") | Q(approver__isnull=False),
                name="proposal_refused_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", decided_at=None)
                | (~Q(state="waiting") & Q(decided_at__isnull=False)),
                name="proposal_decided_at_a_moment",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="proposal_has_a_reason"),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], name="proposal_waiting", condition=Q(state="waiting")
            ),
            models.Index(fields=["act", "target_id"], name="proposal_by_target"),
        ]

    def __str__(self) -> str:
        return f"{self.act} of {self.target_label or self.target_id}"

    @property
    def is_waiting(self) -> bool:
        return self.state == ProposalState.WAITING and self.expires_at > timezone.now()

    @property
    def sentence(self) -> str:
        """The act in words."""
        return str(Act(self.act).sentence)

    @property
    def may_approve(self) -> list[str]:
        """The names of the roles whose holders may approve."""
        return [str(Role(role).label) for role in self.roles]

    def as_obj(self) -> Obj:
        return Obj("proposal", str(self.pk), self.act)
