"""THE permission door: `can`, `require`, `get_for`. Everything that asks "may they?" asks here."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from access.errors import Denied, Missing
from access.models import Grant, User
from access.roles import ROLE_ACTS, WITNESS, WITNESS_ACTS, Role, roles_that_may
from audit.ledger.actor import Actor, ActorKind
from audit.ledger.acts import Act

MAX_HELPERS = 3
# What was asked for last in this request: a face that catches a refusal records it under this act.
_asked: ContextVar[Act | None] = ContextVar("asked", default=None)
Row = TypeVar("Row", bound=models.Model)


def actor_for(user: User, **fields: Any) -> Actor:
    """The Actor of a signed-in person or the owner of a key, with the role as committed now."""
    kind = ActorKind.SERVICE if user.is_service else ActorKind.USER
    return Actor(kind=kind, id=str(user.pk), name=user.username, role=user.role, **fields)


def role_allows(role: str, act: Act) -> bool:
    return role in Role.values and act in ROLE_ACTS[Role(role)]


def can(actor: Actor, act: Act, deployment_id: UUID | None = None) -> bool:
    """Whether `actor` may do `act`; using a deployment also needs a grant of that deployment."""
    if actor.is_system:
        return True
    if actor.role == WITNESS:
        return act in WITNESS_ACTS
    if not role_allows(actor.role, act):
        return False
    if act is Act.DEPLOYMENT_USE and deployment_id is not None:
        return grants_of(actor).filter(deployment_id=deployment_id).exists()
    return True


def require(
    actor: Actor, act: Act, target: object = None, *, deployment_id: UUID | None = None
) -> None:
    """Raise Denied, naming who can help, unless `actor` may do `act`."""
    _asked.set(act)
    if not can(actor, act, deployment_id):
        raise Denied(actor, act, target=str(target or ""), helpers=who_can_help(act))


def last_asked() -> Act | None:
    """The act that was asked for last, by the view or by the verb that then refused."""
    return _asked.get()


def get_for(actor: Actor, act: Act, rows: models.QuerySet[Row], pk: object) -> Row:
    """The row, for one who may. Raises Denied by role, Missing when there is no such row."""
    require(actor, act)
    try:
        return rows.get(pk=pk)
    except (ObjectDoesNotExist, ValidationError, ValueError) as error:
        raise Missing(_("There is no such thing here, or it has been removed.")) from error


def grants_of(actor: Actor) -> models.QuerySet[Grant]:
    """The grants that reach `actor`, directly or through a team."""
    if actor.kind not in (ActorKind.USER, ActorKind.SERVICE):
        return Grant.objects.none()
    return Grant.objects.filter(Q(user_id=actor.id) | Q(team__memberships__user_id=actor.id))


def granted_deployment_ids(actor: Actor) -> set[UUID]:
    return set(grants_of(actor).values_list("deployment_id", flat=True))


def who_can_help(act: Act) -> list[str]:
    """Names of people who could do it or grant it; for a deployment that is the security office."""
    roles = [Role.SECURITY] if act is Act.DEPLOYMENT_USE else roles_that_may(act)
    people = User.objects.people().filter(role__in=roles, is_active=True)[:MAX_HELPERS]
    return [f"{person} ({person.get_role_display()})" for person in people]
