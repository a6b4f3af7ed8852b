"""Break-glass: reading captured content needs a reason, a second person and an end; and content
goes when its period is over. No search touches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from access import actions as access
from access import policy
from access.errors import Invalid, Missing, WrongState
from access.models import Proposal
from access.second_person import Line
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.office import retention
from audit.office.content import keeping, store
from audit.office.content.models import MOST_MINUTES, Content, Erasure, Opening
from audit.office.content.store import KeyGone, Unreadable, Words

PAGE = 100
BATCH = 1000
# A key of today may be about to be used; one of the day before yesterday is not.
IN_USE = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Wish:
    """What an auditor asks to read: of one deployment, in one period, perhaps of one person."""

    deployment_id: UUID
    deployment_name: str
    start: datetime
    end: datetime
    minutes: int = 30
    person_id: UUID | None = None

    def checked(self) -> Wish:
        if self.start >= self.end:
            raise Invalid(_("The end is before the beginning."), field="end")
        if not 1 <= self.minutes <= MOST_MINUTES:
            raise Invalid(
                _("It may be open for 1 to %(most)d minutes.") % {"most": MOST_MINUTES},
                field="minutes",
            )
        return self

    def as_arguments(self) -> dict[str, Any]:
        return {
            "deployment_id": str(self.deployment_id),
            "deployment_name": self.deployment_name,
            "person_id": str(self.person_id) if self.person_id else None,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "minutes": self.minutes,
        }

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Wish:
        person = arguments["person_id"]
        return cls(
            UUID(arguments["deployment_id"]),
            arguments["deployment_name"],
            datetime.fromisoformat(arguments["start"]),
            datetime.fromisoformat(arguments["end"]),
            arguments["minutes"],
            UUID(person) if person else None,
        )


def request_opening(*, actor: Actor, wish: Wish, reason: str) -> Proposal:
    """Ask a second person to let one read; the clock starts when they agree."""
    policy.require(actor, Act.CONTENT_OPEN, wish.deployment_id)
    wish = wish.checked()
    shown = wish.as_arguments()
    lines = {
        gettext_noop("from"): shown["start"],
        gettext_noop("to"): shown["end"],
        gettext_noop("only this account"): shown["person_id"],
        gettext_noop("open for minutes"): wish.minutes,
    }
    return access.request(
        actor=actor,
        act=Act.CONTENT_OPEN,
        target=Obj("deployment", str(wish.deployment_id), wish.deployment_name),
        difference=[Line(label, None, value) for label, value in lines.items()],
        arguments=shown,
        reason=reason,
    )


def open_content(*, actor: Actor, wish: Wish) -> Opening:
    """Let `actor` read from now on, because a second person agreed."""
    policy.require(actor, Act.CONTENT_OPEN, wish.deployment_id)
    approval = log.approval()
    with transaction.atomic():
        made = Opening.objects.create(
            deployment_id=wish.deployment_id,
            deployment_name=wish.deployment_name,
            person_id=wish.person_id,
            start=wish.start,
            end=wish.end,
            minutes=wish.minutes,
            reason=approval.get("reason") or "-",
            reader_id=actor.id,
            approver_id=approval.get("approver") or None,
            ends_at=timezone.now() + timedelta(minutes=wish.minutes),
        )
        log.record(
            actor,
            Act.CONTENT_OPEN,
            Obj("opening", str(made.pk)),
            Obj("deployment", str(wish.deployment_id), wish.deployment_name),
            reason=made.reason,
            details={**wish.as_arguments(), "until": made.ends_at.isoformat(timespec="seconds")},
        )
    return made


def list_content(*, actor: Actor, opening: Opening) -> list[Content]:
    """What there is to read under an opening: when and by whom, not what was said."""
    policy.require(actor, Act.CONTENT_LIST, opening.pk)
    _still_open(actor, opening)
    with transaction.atomic():
        rows = list(_covered(opening)[:PAGE])
        log.record(
            actor,
            Act.CONTENT_LIST,
            Obj("opening", str(opening.pk)),
            Obj("deployment", str(opening.deployment_id), opening.deployment_name),
            details={"count": len(rows)},
        )
    return rows


def view_content(*, actor: Actor, opening: Opening, pk: UUID) -> tuple[Content, Words]:
    """The words of one request. The event is durable before they are shown."""
    policy.require(actor, Act.CONTENT_VIEW, pk)
    _still_open(actor, opening)
    content = _covered(opening).filter(pk=pk).first()
    if content is None:
        raise Missing(_("There is no such thing here, or it has been removed."))
    try:
        words = store.opened(content)
    except (KeyGone, Unreadable, OSError) as error:
        raise WrongState(
            _("This cannot be read any more: its key was destroyed, or it was changed.")
        ) from error
    with transaction.atomic():
        log.record(
            actor,
            Act.CONTENT_VIEW,
            Obj("content", str(pk)),
            Obj("opening", str(opening.pk)),
            Obj("deployment", str(opening.deployment_id), opening.deployment_name),
            Obj("user", str(content.person_id), personal=True),
            reason=opening.reason,
        )
    return content, words


def close_opening(*, actor: Actor, opening: Opening) -> Opening:
    """End the reading before its time."""
    policy.require(actor, Act.CONTENT_CLOSE, opening.pk)
    with transaction.atomic():
        now = timezone.now()
        rows = Opening.objects.filter(pk=opening.pk, closed_at=None, ends_at__gt=now)
        if not rows.update(closed_at=now):
            raise WrongState(_("This reading has ended."))
        log.record(actor, Act.CONTENT_CLOSE, Obj("opening", str(opening.pk)))
    opening.refresh_from_db()
    return opening


def expire_content(*, actor: Actor) -> int:
    """Destroy what is past its period: rows first, then the keys that nothing needs any more.

    Safe to run twice and to be killed anywhere: keys without rows are found by the next run.
    """
    policy.require(actor, Act.CONTENT_EXPIRE)
    total = 0
    while count := _expire_some(actor):
        total += count
    border = timezone.now().date() - IN_USE
    folder = store.keys()
    for scope in list(folder.scopes()):
        if (
            scope.day < border
            and not Content.objects.filter(
                day=scope.day, deployment_id=scope.deployment, person_id=scope.person
            ).exists()
        ):
            folder.destroy(scope)
    return total


def _expire_some(actor: Actor) -> int:
    with transaction.atomic():
        retention.lock()
        late = Content.objects.filter(expires_at__lte=timezone.now()).order_by("expires_at")
        gone = list(keeping.free_content(late).values_list("pk", flat=True)[:BATCH])
        count, _each = Content.objects.filter(pk__in=gone).delete()
        if count:
            log.record(
                actor,
                Act.CONTENT_EXPIRE,
                details={"count": count, "first": str(min(gone)), "last": str(max(gone))},
            )
    return count


def _covered(opening: Opening) -> QuerySet[Content]:
    """Without erased people: what a hold keeps of theirs is stored and not read (PIPL art. 47)."""
    rows = Content.objects.filter(
        deployment_id=opening.deployment_id, at__gte=opening.start, at__lte=opening.end
    ).exclude(person_id__in=Erasure.objects.values("person_id"))
    return rows.filter(person_id=opening.person_id) if opening.person_id else rows


def _still_open(actor: Actor, opening: Opening) -> None:
    """Asked at every single reading: an end in the middle is an end."""
    if str(opening.reader_id) != actor.id:
        raise Missing(_("There is no such thing here, or it has been removed."))
    if not opening.is_open:
        raise WrongState(_("The time for reading is over. Ask again if you need more."))
