"""Verbs of notes and cases: what auditors write beside the log, each writing an event in it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, Missing, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change, Obj
from audit.ledger.models import Event
from audit.office.models import Case, CaseEvent, CaseNote, CaseState, EventNote

MAX_TITLE = 120
MAX_NOTE = 4000
AT_ONCE = 200
MOST_EVENTS = 10_000
# Objects that one event of the log names besides the case.
EVENT_ROOM = 19


def note_event(*, actor: Actor, event: UUID, text: str) -> EventNote:
    """Write something beside an event. The event itself is not touched; the log says who and when,
    and keeps a commitment to the text."""
    policy.require(actor, Act.AUDIT_NOTE, event)
    text = _note(text)
    with transaction.atomic():
        if not Event.objects.filter(pk=event).exists():
            raise Missing(_("There is no such thing here, or it has been removed."))
        made = EventNote.objects.create(event_id=event, author_id=actor.id, text=text)
        log.record(actor, Act.AUDIT_NOTE, Obj("event", str(event)), changes=_written(text))
    return made


def open_case(*, actor: Actor, title: str) -> Case:
    policy.require(actor, Act.CASE_OPEN)
    title = " ".join(title.split())
    if not title or len(title) > MAX_TITLE:
        raise Invalid(_("Give it a title of up to 120 characters."), field="title")
    with transaction.atomic():
        made = Case.objects.create(title=title, author_id=actor.id)
        log.record(actor, Act.CASE_OPEN, made.as_obj())
    return made


def add_to_case(*, actor: Actor, case: Case, events: Sequence[UUID]) -> int:
    """Collect events; those that are in it already stay. Returns how many are new."""
    policy.require(actor, Act.CASE_ADD, case.pk)
    wanted = list(dict.fromkeys(events))
    if not wanted or len(wanted) > AT_ONCE:
        raise Invalid(_("Choose between 1 and 200 events."), field="events")
    with transaction.atomic():
        locked = _open(case)
        known = set(Event.objects.filter(pk__in=wanted).values_list("pk", flat=True))
        if len(known) < len(wanted):
            raise Missing(_("There is no such thing here, or it has been removed."))
        inside = set(locked.items.filter(event_id__in=wanted).values_list("event_id", flat=True))
        new = [pk for pk in wanted if pk not in inside]
        if locked.items.count() + len(new) > MOST_EVENTS:
            raise WrongState(_("A case holds at most 10000 events. Open another one."))
        CaseEvent.objects.bulk_create(
            CaseEvent(case=locked, event_id=pk, author_id=actor.id) for pk in new
        )
        for start in range(0, len(new), EVENT_ROOM):
            some = [Obj("event", str(pk)) for pk in new[start : start + EVENT_ROOM]]
            log.record(actor, Act.CASE_ADD, locked.as_obj(), *some, details={"count": len(some)})
    return len(new)


def take_from_case(*, actor: Actor, case: Case, event: UUID) -> None:
    """An event that does not belong to it after all. The log keeps that it was there."""
    policy.require(actor, Act.CASE_TAKE, case.pk)
    with transaction.atomic():
        locked = _open(case)
        gone, _each = locked.items.filter(event_id=event).delete()
        if gone:
            log.record(actor, Act.CASE_TAKE, locked.as_obj(), Obj("event", str(event)))


def note_case(*, actor: Actor, case: Case, text: str) -> CaseNote:
    policy.require(actor, Act.CASE_NOTE, case.pk)
    text = _note(text)
    with transaction.atomic():
        locked = Case.objects.select_for_update().get(pk=case.pk)
        made = CaseNote.objects.create(case=locked, author_id=actor.id, text=text)
        log.record(actor, Act.CASE_NOTE, locked.as_obj(), changes=_written(text))
    return made


def close_case(*, actor: Actor, case: Case) -> Case:
    """Nothing is added to it any more; notes still may be."""
    policy.require(actor, Act.CASE_CLOSE, case.pk)
    with transaction.atomic():
        locked = _open(case)
        Case.objects.filter(pk=locked.pk).update(state=CaseState.CLOSED, closed_at=Now())
        log.record(actor, Act.CASE_CLOSE, locked.as_obj(), details={"events": locked.items.count()})
    case.refresh_from_db()
    return case


def reopen_case(*, actor: Actor, case: Case) -> Case:
    policy.require(actor, Act.CASE_REOPEN, case.pk)
    with transaction.atomic():
        locked = Case.objects.select_for_update().get(pk=case.pk)
        if locked.is_open:
            raise WrongState(_("The case is open already."))
        Case.objects.filter(pk=locked.pk).update(state=CaseState.OPEN, closed_at=None)
        log.record(actor, Act.CASE_REOPEN, locked.as_obj())
    case.refresh_from_db()
    return case


def _open(case: Case) -> Case:
    locked = Case.objects.select_for_update().get(pk=case.pk)
    if not locked.is_open:
        raise WrongState(_("The case is closed. Open it again first."))
    return locked


def _note(text: str) -> str:
    text = text.strip().replace("\x00", "")
    if not text or len(text) > MAX_NOTE:
        raise Invalid(_("Write a note of up to 4000 characters."), field="text")
    return text


def _written(text: str) -> list[Change]:
    """What was written, as a personal value: people are named in notes."""
    return [Change("note", None, text, private=True)]
