"""Erasing a person: two people decide, a worker does it, and the log still verifies.

The account itself goes at once, and so do captured words: their keys are destroyed. Personal values
in the log go where their floor has passed and no hold covers them; until then they are restricted:
kept, and shown to nobody.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from access import actions as access
from access import policy
from access.errors import Invalid, WrongState
from access.models import Proposal, User
from access.second_person import Line
from audit.ledger import erasing, log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event
from audit.office import retention
from audit.office.content import keeping, leftovers, restricted, store
from audit.office.content.models import FLOOR, HELD, Content, Erasure, ErasureState
from audit.office.search import first_id

BATCH = 2000
LOOK_AGAIN = timedelta(days=1)
BASES = {
    "purpose": gettext_noop("the purpose is over (PIPL 47)"),
    "withdrawn": gettext_noop("consent was withdrawn (PIPL 47, GDPR 17)"),
    "request": gettext_noop("the person asked for it (PIPL 47, GDPR 17)"),
    "unlawful": gettext_noop("it was kept unlawfully (PIPL 47, GDPR 17)"),
}


def request_erasure(*, actor: Actor, person: User, basis: str, reason: str) -> Proposal:
    """Ask a second person to have a person erased whose account is closed."""
    policy.require(actor, Act.USER_ERASE, person.pk)
    if basis not in BASES:
        raise Invalid(_("Choose the ground on which the person is erased."), field="basis")
    _erasable(person)
    return access.request(
        actor=actor,
        act=Act.USER_ERASE,
        # The proposal stays for ever: it knows the account, not the name.
        target=Obj("user", str(person.pk)),
        difference=[
            Line(gettext_noop("ground"), None, BASES[basis], worded=True),
            Line(gettext_noop("captured content"), _contents(person.pk), 0),
            Line(gettext_noop("legal hold"), keeping.is_held(person.pk), None),
        ],
        arguments={"person_id": str(person.pk), "basis": basis},
        reason=reason,
    )


def erase_user(*, actor: Actor, person: User, basis: str) -> Erasure:
    """Erase the account and begin to erase what is kept of it, because a second person agreed."""
    policy.require(actor, Act.USER_ERASE, person.pk)
    approval = log.approval()
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=person.pk)
        _erasable(locked)
        return _begin(
            actor,
            locked,
            basis=basis,
            reason=approval.get("reason") or "",
            proposer_id=actor.id,
            approver_id=approval.get("approver") or "",
        )


def erase_again(*, actor: Actor, person: User) -> Erasure:
    """After an old copy of the database was restored, which does not know that this person was
    erased: the key folder does. Only the house itself may."""
    policy.require(actor, Act.USER_ERASED, person.pk)
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=person.pk)
        locked.is_active = False
        locked.save(update_fields=["is_active"])
        return _begin(
            actor,
            locked,
            basis="restored",
            reason="erased before this copy of the database was restored",
            proposer_id=actor.id,
            approver_id="",
        )


def _begin(actor: Actor, locked: User, **values: str) -> Erasure:
    """Inside the transaction that locked the account."""
    names = [name for name in (locked.username, locked.display_name) if name]
    made = Erasure.objects.create(person_id=locked.pk, names=names, **values)
    log.record(
        actor,
        Act.USER_ERASE,
        Obj("user", str(locked.pk)),
        Obj("erasure", str(made.pk)),
        reason=values["reason"],
        details={"basis": values["basis"]},
    )
    access.forget_user(actor=actor, user=locked)
    leftovers.clear(locked.pk, names)
    transaction.on_commit(restricted.forget)
    return made


def erase_more(*, actor: Actor, erasure: Erasure) -> Erasure:
    """Take away whatever may go by now. Safe to run twice and to be killed anywhere: each part is
    one transaction with its event, and keys that were destroyed stay destroyed."""
    policy.require(actor, Act.USER_ERASED, erasure.person_id)
    person = erasure.person_id
    store.keys().bury(person)
    if keeping.is_held(person):
        return _restrict(actor, erasure, HELD, timezone.now() + LOOK_AGAIN)
    contents, words_held = _destroy_words(erasure)
    ids = erasing.touching(person, erasure.names, keeping.border())
    held = keeping.held_events(ids)
    free = [pk for pk in ids if pk not in held]
    for batch in erasing.batches(free, person, erasure.names, BATCH):
        with transaction.atomic():
            retention.lock()
            if keeping.is_held(person) or keeping.held_events(batch.ids):
                # A hold was set since the events were chosen; the next look finds the rest.
                held = set(batch.ids)
                break
            event = log.record(
                actor,
                Act.USER_ERASED,
                Obj("user", str(person)),
                Obj("erasure", str(erasure.pk)),
                details={**batch.details, "contents": contents},
            )
            erasing.apply(event.id, batch)
            erasure.events += len(batch.items)
            Erasure.objects.filter(pk=erasure.pk).update(events=erasure.events)
    if held or words_held:
        return _restrict(actor, erasure, HELD, timezone.now() + LOOK_AGAIN)
    if newest := _newest(erasure):
        ends = keeping.floor_ends(newest)
        return _restrict(actor, erasure, f"{FLOOR} {ends:%Y-%m-%d}", ends)
    return _finish(actor, erasure)


def _destroy_words(erasure: Erasure) -> tuple[int, bool]:
    """Destroy what was captured of a person but what a hold covers; how many in all, and whether a
    hold covers some."""
    rows = Content.objects.filter(person_id=erasure.person_id)
    with transaction.atomic():
        retention.lock()
        held = list(keeping.held_content(rows))
        needed = {store.scope_of(row) for row in held}
        store.keys().destroy_person(erasure.person_id, but=needed)
        count, _each = rows.exclude(pk__in=[row.pk for row in held]).delete()
        contents = erasure.contents + count
        Erasure.objects.filter(pk=erasure.pk).update(contents=contents)
    erasure.contents = contents
    return contents, bool(held)


def _restrict(actor: Actor, erasure: Erasure, why: str, due: Any) -> Erasure:
    """Say why something must stay; once for each reason."""
    with transaction.atomic():
        locked = Erasure.objects.get(pk=erasure.pk)
        if locked.kept_for != why:
            log.record(
                actor,
                Act.USER_RESTRICTED,
                Obj("user", str(locked.person_id)),
                Obj("erasure", str(locked.pk)),
                reason=why,
            )
        locked.state, locked.kept_for, locked.due_at = ErasureState.RESTRICTED, why, due
        locked.save(update_fields=["state", "kept_for", "due_at"])
    restricted.forget()
    return locked


def _finish(actor: Actor, erasure: Erasure) -> Erasure:
    """Nothing is left; the names that were looked for go, too."""
    with transaction.atomic():
        locked = Erasure.objects.get(pk=erasure.pk)
        locked.state, locked.kept_for, locked.names = ErasureState.DONE, "", []
        locked.finished_at = timezone.now()
        locked.save(update_fields=["state", "kept_for", "names", "finished_at"])
        if not locked.events:
            empty = erasing.Batch([])
            log.record(
                actor,
                Act.USER_ERASED,
                Obj("user", str(locked.person_id)),
                Obj("erasure", str(locked.pk)),
                details={**empty.details, "contents": locked.contents},
            )
    restricted.forget()
    return locked


def _newest(erasure: Erasure) -> Any:
    """When the newest event with values of this person happened; None when there is none."""
    after = first_id(timezone.now() + timedelta(minutes=1))
    left = erasing.touching(erasure.person_id, erasure.names, after)
    for batch in erasing.batches(left[::-1], erasure.person_id, erasure.names, BATCH):
        newest = max((item.event_id for item in batch.items), key=lambda pk: pk.bytes)
        return Event.objects.values_list("at", flat=True).get(pk=newest)
    return None


def _erasable(person: User) -> None:
    if person.is_service:
        raise Invalid(_("A service account is no person; disable it."))
    if person.is_active:
        raise WrongState(_("This account is still open. Disable it first."))
    if person.erased_at is not None:
        raise WrongState(_("This person has been erased."))


def _contents(person: UUID) -> int:
    return Content.objects.filter(person_id=person).count()
