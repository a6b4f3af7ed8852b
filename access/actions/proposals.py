"""Verbs on proposals: one person asks, another approves or refuses, and only then it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from access import policy, second_person
from access.errors import Denied, Invalid, Refusal, WrongState
from access.models import Proposal, ProposalState, User, UserKind
from access.second_person import Line
from audit.ledger import log
from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
from audit.ledger.log import Obj

KEPT_OPEN = timedelta(days=7)
LONGEST = timedelta(days=30)
MAX_REASON = 500
MAX_LINES = 20
MAX_WAITING = 50


def request(
    *,
    actor: Actor,
    act: Act,
    target: Obj,
    difference: Sequence[Line],
    arguments: Mapping[str, Any],
    reason: str,
    open_for: timedelta = KEPT_OPEN,
) -> Proposal:
    """Ask a second person to approve `act`. It is applied when they do, and not before.

    The room's own verb calls this after it has looked whether the act is possible. Where the house
    has switched second persons off, it is applied at once, and the proposal says so.
    """
    policy.require(actor, act, target.id)
    policy.require(actor, Act.PROPOSAL_REQUEST, target.id)
    reason = _text(reason, field="reason")
    if len(difference) > MAX_LINES or not timedelta() < open_for <= LONGEST:
        raise Invalid(_("A proposal has at most 20 lines and is open for at most 30 days."))
    rows = [line.as_json() for line in difference]
    with transaction.atomic():
        person = _person(actor)
        way = second_person.way_of(act)
        if settings.SECOND_PERSON:
            _somebody_can(person, way)
        if Proposal.objects.waiting().filter(requester=person).count() >= MAX_WAITING:
            raise WrongState(_("50 of your proposals wait to be decided. Withdraw some first."))
        proposal = Proposal(
            act=act.value,
            target_type=target.type,
            target_id=target.id[:200],
            target_label=target.label[:200],
            difference=rows,
            arguments=dict(arguments),
            fingerprint=second_person.state_of(act, arguments),
            reason=reason,
            roles=[role.value for role in way.roles],
            requester=person,
            expires_at=timezone.now() + open_for,
        )
        proposal.save(force_insert=True)
        log.record(
            actor,
            Act.PROPOSAL_REQUEST,
            proposal.as_obj(),
            target,
            permission=act.value,
            reason=reason,
            changes=[line.as_change() for line in difference],
            details={"expires": proposal.expires_at.isoformat(), **_named(proposal)},
        )
        if not settings.SECOND_PERSON:
            _apply(proposal, actor, None)
    return proposal


def approve(*, actor: Actor, proposal: Proposal, answer: str = "") -> Proposal:
    """As a second person, have it applied: exactly what was asked for, here and now.

    Raises WrongState, and nothing was applied, when it has expired or is outdated because things
    have changed since; the proposal then says so.
    """
    policy.require(actor, Act.PROPOSAL_APPROVE, proposal.pk)
    answer = answer.strip()[:MAX_REASON]
    with transaction.atomic():
        locked = _open(proposal)
        person = _decider(actor, locked, Act.PROPOSAL_APPROVE)
        problem = _overdue(locked)
        if not problem:
            locked.answer = answer
            problem = _changed(locked) or _try(locked, actor, person)
            if problem:
                _outdate(locked, actor, problem)
    if problem:
        raise WrongState(problem)
    return locked


def reject(*, actor: Actor, proposal: Proposal, answer: str) -> Proposal:
    """As a second person, refuse it, and say why. Nothing is applied."""
    policy.require(actor, Act.PROPOSAL_REJECT, proposal.pk)
    with transaction.atomic():
        locked = _open(proposal)
        person = _decider(actor, locked, Act.PROPOSAL_REJECT)
        answer = _text(answer, field="answer")
        problem = _overdue(locked)
        if not problem:
            _decide(locked, ProposalState.REFUSED, approver=person, answer=answer)
            log.record(
                actor, Act.PROPOSAL_REJECT, *_objects(locked), reason=answer, details=_named(locked)
            )
    if problem:
        raise WrongState(problem)
    return locked


def withdraw(*, actor: Actor, proposal: Proposal) -> Proposal:
    """Take back what one asked for oneself."""
    policy.require(actor, Act.PROPOSAL_WITHDRAW, proposal.pk)
    with transaction.atomic():
        locked = _open(proposal)
        if str(locked.requester_id) != actor.id:
            raise Invalid(_("Only the one who asked for it can withdraw it. You can refuse it."))
        _decide(locked, ProposalState.WITHDRAWN)
        log.record(actor, Act.PROPOSAL_WITHDRAW, *_objects(locked), details=_named(locked))
    return locked


def expire_proposals(*, actor: Actor) -> int:
    """Close what nobody decided in time. Returns how many were closed."""
    policy.require(actor, Act.PROPOSAL_EXPIRE)
    with transaction.atomic():
        late = list(Proposal.objects.overdue().select_for_update(skip_locked=True))
        for proposal in late:
            _expire(proposal, actor)
    return len(late)


# --- parts of the verbs, inside their transaction -------------------------------------------------


def _open(proposal: Proposal) -> Proposal:
    locked = Proposal.objects.select_for_update().get(pk=proposal.pk)
    if locked.state != ProposalState.WAITING:
        raise WrongState(
            _("This has been decided already: %(state)s.") % {"state": locked.get_state_display()}
        )
    return locked


def _person(actor: Actor) -> User:
    """The person who asks. Programs and the house itself ask nobody."""
    if actor.kind != ActorKind.USER:
        raise Invalid(_("A person must ask for this, in the console or with a key of their own."))
    return User.objects.get(pk=actor.id)


def _decider(actor: Actor, proposal: Proposal, act: Act) -> User:
    if actor.kind != ActorKind.USER or actor.role not in proposal.roles:
        raise Denied(actor, act, target=str(proposal.pk), helpers=_helpers(proposal))
    if str(proposal.requester_id) == actor.id:
        raise Invalid(_("You asked for this yourself: another person must decide it."))
    return User.objects.get(pk=actor.id)


def _helpers(proposal: Proposal) -> list[str]:
    return [str(person) for person in _able(proposal.requester, proposal.roles)[:3]]


def _able(requester: User, roles: Sequence[str]) -> Any:
    people = User.objects.people().filter(role__in=roles, is_active=True)
    return people.exclude(pk=requester.pk)


def _somebody_can(requester: User, way: second_person.Way) -> None:
    if not _able(requester, way.roles).exists():
        raise WrongState(
            _("Nobody else could approve this. Appoint another person first: %(roles)s.")
            % {"roles": ", ".join(str(role.label) for role in way.roles)}
        )


def _changed(proposal: Proposal) -> str:
    """What has changed since it was asked for; empty when nothing has."""
    try:
        now = second_person.state_of(proposal.act, proposal.arguments)
    except Refusal as error:
        return str(error)
    if now != proposal.fingerprint:
        return _("What it would change has been changed by somebody else since.")
    return ""


def _try(proposal: Proposal, actor: Actor, person: User) -> str:
    """Apply it, or nothing of it; what stood in the way, empty when nothing did."""
    try:
        with transaction.atomic():
            _apply(proposal, actor, person)
    except Refusal as error:
        return str(error)
    return ""


def _apply(proposal: Proposal, actor: Actor, person: User | None) -> None:
    """Decide first: what is applied may look for a proposal that was approved."""
    requester = User.objects.get(pk=proposal.requester_id)
    if not requester.is_active or requester.kind != UserKind.PERSON:
        raise WrongState(_("The account of the person who asked for it is closed."))
    asked = policy.actor_for(requester, origin=Origin(request_id=actor.origin.request_id))
    _decide(proposal, ProposalState.APPLIED, approver=person, alone=person is None)
    if person is not None:
        log.record(
            actor,
            Act.PROPOSAL_APPROVE,
            *_objects(proposal),
            reason=proposal.answer,
            details=_named(proposal),
        )
    approver = str(person.pk) if person else ""
    with log.approved_by(id=str(proposal.pk), approver=approver, reason=proposal.reason):
        second_person.way_of(Act(proposal.act)).apply(asked, proposal.arguments)


def _outdate(proposal: Proposal, actor: Actor, problem: str) -> None:
    """Close it without having applied anything; the attempt to approve it is an event."""
    values = {"approver": None, "alone": False, "answer": problem[:MAX_REASON]}
    _decide(proposal, ProposalState.OUTDATED, **values)
    log.record(
        actor,
        Act.PROPOSAL_APPROVE,
        *_objects(proposal),
        outcome="failure",
        reason=f"outdated: {problem}",
        details=_named(proposal),
    )


def _overdue(proposal: Proposal) -> str:
    if not Proposal.objects.overdue().filter(pk=proposal.pk).exists():
        return ""
    _expire(proposal, Actor.system("proposals"))
    return _("Nobody decided it in time. Ask for it again.")


def _expire(proposal: Proposal, actor: Actor) -> None:
    _decide(proposal, ProposalState.EXPIRED)
    log.record(actor, Act.PROPOSAL_EXPIRE, *_objects(proposal), details=_named(proposal))


def _decide(proposal: Proposal, state: ProposalState, **values: Any) -> None:
    for name, value in {"state": state, "decided_at": timezone.now(), **values}.items():
        setattr(proposal, name, value)
    proposal.save(update_fields=["state", "decided_at", "answer", *values])


def _objects(proposal: Proposal) -> list[Obj]:
    return [proposal.as_obj(), Obj(proposal.target_type, proposal.target_id)]


def _named(proposal: Proposal) -> dict[str, str]:
    """What an event says of a proposal: the act, and a hash of exactly what was asked for."""
    return {
        "act": proposal.act,
        "sha256": second_person.digest_of(proposal.arguments, proposal.difference),
    }


def _text(text: str, *, field: str) -> str:
    text = text.strip()
    if not text or len(text) > MAX_REASON:
        raise Invalid(_("Say why, in up to 500 characters."), field=field)
    return text
