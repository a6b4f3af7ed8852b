"""Random walks over everything that keeps, removes and erases: whatever the order, no held event is
lost, no erased word can be read, and the log verifies.

FUSEBOX_WALKS says how many; a walk that fails is repeated by its number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, transaction
from django.utils import timezone
from psycopg import sql
from pytest_django import Settings

from access import actions as access
from access.models import User
from audit.ledger import log, sealer, sealing
from audit.ledger.actor import Actor, ActorKind
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event, Personal, Sealer
from audit.office import actions, erasures
from audit.office.actions.content import Wish
from audit.office.content import keeping, restricted, store
from audit.office.content.terms import in_force
from audit.office.models import Content, Erasure, Hold, Opening
from tests.audit.sealed.conftest import LOG, Sealed, _admin, age, approved, jump, prune_all, who
from tests.audit.test_content import DEPLOYMENT, TERMS, keep

WALKS, STEPS = int(os.environ.get("FUSEBOX_WALKS", "4")), 24
BEAT = Actor.system("tests")


@dataclass
class Known:
    """What the walk remembers: what a backup brings back, and nothing of the house's own."""

    events: dict[UUID, tuple[UUID, UUID]] = field(default_factory=dict)
    contents: dict[UUID, tuple[UUID, UUID]] = field(default_factory=dict)
    gone: set[UUID] = field(default_factory=set)
    nameless: set[UUID] = field(default_factory=set)
    holds: dict[UUID, tuple[str, str]] = field(default_factory=dict)

    def held(self, person: UUID, event: UUID) -> bool:
        values = {str(person), str(event), str(DEPLOYMENT), ""}
        return any(value in values for _kind, value in self.holds.values())


@dataclass
class Walk:
    house: Sealed
    random: Random
    known: Known = field(default_factory=Known)
    erased: set[UUID] = field(default_factory=set)
    backup: Known | None = None
    floor: timedelta = timedelta(days=183)
    removed: bool = False

    def __post_init__(self) -> None:
        asked = actions.request_capture(
            actor=who("security"), deployment_id=DEPLOYMENT, deployment_name="claims",
            terms=TERMS, reason="complaints",
        )  # fmt: skip
        approved(asked)
        made = [
            access.create_user(actor=BEAT, username=f"person{i}", role="member")[0].pk
            for i in range(3)
        ]
        self.people: list[UUID] = made

    # --- steps ------------------------------------------------------------------------------------

    def happen(self) -> None:
        """Somebody asks something, and their words are kept."""
        for person in self.random.sample(self.people, 2):
            user = User.objects.get(pk=person)
            if person in self.erased or not user.is_active:
                continue
            rule = in_force(DEPLOYMENT)
            assert rule is not None
            words = keep(rule, user, f"secret words of {user.username}")
            actor = Actor(ActorKind.USER, str(person), user.username, "member")
            with transaction.atomic():
                event = log.record(
                    actor, Act.AUTHZ_DENIED, Obj("deployment", str(DEPLOYMENT), "claims"),
                    Obj("content", str(words.pk)),
                )  # fmt: skip
            self.known.events[event.id] = (person, words.pk)
            self.known.contents[words.pk] = (person, event.id)

    def seal(self) -> None:
        self.house.seal()

    def wait(self) -> None:
        self.seal()
        days = self.random.choice([30, 200, 400])
        age(self.house, days)
        if self.backup is not None:
            age(replace(self.house, name=f"{self.house.name}_b"), days, own_head=False)

    def clock(self) -> None:
        """Ahead, or back as long as nothing was removed: what a clock that went wrong for half a
        year removed lawfully counts as too young when it is right again."""
        self.seal()
        days = self.random.choice([-200, 400, 4000])
        jump(self.house, abs(days) if self.removed else days)

    def prune(self) -> None:
        prune_all()
        there = self.there(self.known.events)
        for event in set(self.known.events) - there:
            assert not self.known.held(self.known.events[event][0], event)
            del self.known.events[event]
            self.removed = True

    def hold(self) -> None:
        now = timezone.now()
        events = sorted(self.known.events)
        kind = self.random.choice(["person", "deployment", "period", *["event"] * bool(events)])
        value = {
            "person": str(self.random.choice(self.people)),
            "deployment": str(DEPLOYMENT),
            "event": str(self.random.choice(events)) if events else "",
        }.get(kind, "")
        made = actions.hold(
            actor=who("audit"), kind=kind, value=value, reason="suit",
            # As far back as events are dated when days pass.
            from_at=now - timedelta(days=STEPS * 400), to_at=now + timedelta(days=1),
        )  # fmt: skip
        self.known.holds[made.pk] = (kind, value)

    def release(self) -> None:
        if self.known.holds:
            pk = self.random.choice(sorted(self.known.holds))
            approved(
                actions.release_hold(
                    actor=who("audit"), hold=Hold.objects.get(pk=pk), reason="settled"
                )
            )
            del self.known.holds[pk]

    def expire(self) -> None:
        self.house.harm("UPDATE office_content SET expires_at = now() - interval '1 day'")
        actions.expire_content(actor=BEAT)
        self.forget_what_is_gone()

    def erase(self) -> None:
        person = self.random.choice(self.people)
        user = User.objects.get(pk=person)
        if user.erased_at is None:
            if user.is_active:
                access.disable_user(actor=BEAT, user=user)
                user.refresh_from_db()
            asked = actions.request_erasure(
                actor=who("security"), person=user, basis="request", reason="a letter"
            )
            approved(asked)
            self.erased.add(person)
        self.beat()

    def beat(self) -> None:
        """What the worker does every minute."""
        erasures.after_restore()
        Erasure.objects.update(due_at=timezone.now())
        erasures.run()
        self.forget_what_is_gone()

    def floor_passes(self) -> None:
        self.floor = -timedelta(minutes=1)

    def keep_backup(self) -> None:
        self.copy(self.house.name, f"{self.house.name}_b")
        self.backup = deepcopy(self.known)

    def restore(self) -> None:
        """An old copy of the database; keys and the sealer's record are not in it."""
        if self.backup is None:
            return
        self.copy(f"{self.house.name}_b", self.house.name)
        self.known = deepcopy(self.backup)
        self.beat()
        if sealer.seal_once(self.house.sealer, self.house.custody, LOG) is None:
            incident = Sealer.objects.get().incident
            assert incident
            for name in ("audit", "security"):
                actions.acknowledge_rollback(actor=who(name), incident=incident, reason="restored")
            self.go_on()
        self.house.seal()

    # --- what must hold ---------------------------------------------------------------------------

    def check(self) -> None:
        there = self.there(self.known.events)
        lost = [e for e, (p, _c) in self.known.events.items() if self.known.held(p, e)]
        assert set(lost) <= there, "a held event is lost"
        self.check_words()
        self.house.seal()
        report = self.house.verify(own_head=True)
        assert report.first == "", report.lines()
        assert report.exit_code != 1, report.lines()

    def check_words(self) -> None:
        restricted.forget()
        rows = {row.pk: row for row in Content.objects.all()}
        for pk, whose in self.known.contents.items():
            if pk not in self.known.gone and self.known.held(*whose):
                assert store.is_readable(rows[pk]), "the words of a held event are lost"
        shown = {row.person_id for row in self.opened()}
        assert not shown & self.erased, "erased words are shown"
        done = Erasure.objects.filter(state="done").values_list("person_id", flat=True)
        for person in done:
            assert not any(row.person_id == person for row in rows.values())
            name = f"person{self.people.index(person)}"
            assert not Personal.objects.filter(values__icontains=name).exists(), name

    def opened(self) -> list[Content]:
        now = timezone.now()
        wish = Wish(DEPLOYMENT, "claims", now - timedelta(days=1), now + timedelta(hours=1))
        asked = actions.request_opening(actor=who("audit"), wish=wish, reason="case 7")
        approved(asked)
        opening = Opening.objects.latest("opened_at")
        return actions.list_content(actor=who("audit"), opening=opening)

    # --- helpers ----------------------------------------------------------------------------------

    def there(self, ids: Any) -> set[UUID]:
        return set(Event.objects.filter(pk__in=list(ids)).values_list("pk", flat=True))

    def forget_what_is_gone(self) -> None:
        left = set(Content.objects.values_list("pk", flat=True))
        for pk in self.known.contents.keys() - left - self.known.gone:
            assert not self.known.held(*self.known.contents[pk]), "held words are lost"
            self.known.gone.add(pk)
        named = Personal.objects.filter(event_id__in=list(self.known.events))
        left = {row.event_id for row in named if "actor.name" in row.values}
        for event in self.known.events.keys() - left - self.known.nameless:
            assert not self.known.held(self.known.events[event][0], event), "a held name is lost"
            self.known.nameless.add(event)

    def go_on(self) -> None:
        with psycopg.connect(self.house.sealer) as session:
            at_work = sealing.Sealer(session, self.house.custody, LOG)
            at_work.lead()
            at_work._wait_for_people()
            assert at_work.incident is None

    def copy(self, source: str, target: str) -> None:
        connection.close()
        with _admin(self.house.installation) as admin:
            admin.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(target))
            )
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(target), sql.Identifier(source)
                )
            )


STEPS_OF: tuple[Callable[[Walk], None], ...] = (
    Walk.happen, Walk.happen, Walk.seal, Walk.wait, Walk.clock, Walk.prune, Walk.prune, Walk.hold,
    Walk.hold, Walk.release, Walk.expire, Walk.erase, Walk.erase, Walk.beat, Walk.floor_passes,
    Walk.keep_backup, Walk.restore,
)  # fmt: skip


@pytest.fixture
def walking(house: Sealed, settings: Settings, tmp_path: Path) -> Iterator[Sealed]:
    settings.CONTENT_KEYS = tmp_path / "keys"
    yield house
    with _admin(house.installation) as admin:
        name = sql.Identifier(f"{house.name}_b")
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@pytest.mark.parametrize("number", range(WALKS))
def test_no_order_loses_what_is_held_or_keeps_what_is_erased(
    walking: Sealed, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Walk(walking, Random(number))
    if number % 2:
        walk.floor_passes()
    monkeypatch.setattr(keeping, "floor", lambda: walk.floor)
    taken = []
    walk.happen()
    for _ in range(STEPS):
        step = walk.random.choice(STEPS_OF)
        taken.append(step.__name__)
        try:
            step(walk)
            walk.check()
        except Exception as error:
            raise AssertionError(f"walk {number}: {', '.join(taken)}: {error!r}") from error
