"""Verbs on teams and who is in them."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.actions.grants import deployment_obj
from access.errors import Invalid
from access.models import Membership, Team, User
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act


def create_team(*, actor: Actor, name: str, description: str = "") -> Team:
    policy.require(actor, Act.TEAM_CREATE)
    name = " ".join(name.split())
    if not 1 <= len(name) <= 80:
        raise Invalid(_("A team name has 1 to 80 characters."), field="name")
    team = Team(name=name, description=description.strip()[:300])
    with transaction.atomic():
        try:
            with transaction.atomic():
                team.save(force_insert=True)
        except IntegrityError as error:
            raise Invalid(_("A team of this name exists."), field="name") from error
        log.record(actor, Act.TEAM_CREATE, team.as_obj())
    return team


def delete_team(*, actor: Actor, team: Team) -> None:
    """Delete a team with its memberships and grants; its people stay."""
    policy.require(actor, Act.TEAM_DELETE, team.pk)
    with transaction.atomic():
        for grant in team.grants.select_for_update():
            log.record(
                actor,
                Act.GRANT_REVOKE,
                deployment_obj(grant),
                team.as_obj(),
                reason="team deleted",
            )
        log.record(
            actor,
            Act.TEAM_DELETE,
            team.as_obj(),
            details={"members": team.memberships.count(), "grants": team.grants.count()},
        )
        team.delete()


def add_member(*, actor: Actor, team: Team, user: User) -> None:
    """Put a person or service account into a team. Doing it twice changes nothing."""
    policy.require(actor, Act.TEAM_ADD_MEMBER, team.pk)
    with transaction.atomic():
        _membership, created = Membership.objects.get_or_create(team=team, user=user)
        if created:
            log.record(actor, Act.TEAM_ADD_MEMBER, team.as_obj(), user.as_obj())


def remove_member(*, actor: Actor, team: Team, user: User) -> None:
    policy.require(actor, Act.TEAM_REMOVE_MEMBER, team.pk)
    with transaction.atomic():
        gone, _rows = Membership.objects.filter(team=team, user=user).delete()
        if gone:
            log.record(actor, Act.TEAM_REMOVE_MEMBER, team.as_obj(), user.as_obj())
