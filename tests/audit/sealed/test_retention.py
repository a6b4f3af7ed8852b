"""Retention and holds on a real sealed log, as the web's role: what goes, what stays, who sees."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from access.errors import Denied, Invalid, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import REGISTRY, Act
from audit.ledger.models import Event
from audit.ledger.report import FINE, INCOMPLETE
from audit.office import actions, retention
from audit.office.models import Hold, RetentionPolicy
from tests.audit.sealed.conftest import EVENTS, Sealed, age, approved, jump, prune_all, who

BEAT = Actor.system("tests")


def happen(act: Act = Act.NODE_UPDATE, *objects: log.Obj) -> UUID:
    with transaction.atomic():
        return log.record(who("audit"), act, *(objects or (log.Obj("node", "n"),))).id


def left(sealed: Sealed) -> int:
    return int(sealed.ask("SELECT count(*) FROM ledger_event")[0][0])


def test_only_what_is_older_than_the_policy_goes(house: Sealed) -> None:
    age(house, 364)
    assert prune_all() == 0
    age(house, 2)
    young = happen()
    house.seal()
    assert retention.preview().count == EVENTS
    assert prune_all() == EVENTS
    assert prune_all() == 0
    assert Event.objects.filter(pk=young).exists()
    house.seal()
    report = house.verify(own_head=True)
    assert report.exit_code == FINE, report.lines()
    assert report.removed == EVENTS
    assert f"removed        {EVENTS} by retention" in "\n".join(report.lines())


def test_what_goes_is_written_down_first(house: Sealed) -> None:
    age(house, 366)
    prune_all()
    said = orjson.loads(bytes(Event.objects.get(act="audit.prune").leaf))["details"]
    assert (said["count"], said["from"], said["to"]) == (EVENTS, 0, EVENTS - 1)
    assert (said["boundary"], said["days"]) == (EVENTS, 365)
    [[root]] = house.ask("SELECT root FROM ledger_checkpoint ORDER BY id LIMIT 1")
    assert said["root"] == bytes(root).hex()
    assert said["bytes"] > 100 * EVENTS
    rows = "SELECT count(*) FROM ledger_{} WHERE event_id <> ALL(SELECT id FROM ledger_event)"
    assert [house.ask(rows.format(t)) for t in ("personal", "mention")] == [[(0,)], [(0,)]]


def test_another_deletion_is_found_all_the_same(house: Sealed) -> None:
    age(house, 366)
    actions.hold(actor=who("audit"), kind="event", value=event_at(house, 17), reason="case 7")
    assert prune_all() == EVENTS - 1
    house.seal()
    assert house.verify().exit_code == FINE
    house.harm("DELETE FROM ledger_personal p USING ledger_leaf l WHERE l.event_id = p.event_id"
               " AND l.position = 17",
               "DELETE FROM ledger_event e USING ledger_leaf l WHERE l.event_id = e.id"
               " AND l.position = 17")  # fmt: skip
    report = house.verify()
    assert report.exit_code == INCOMPLETE
    assert "leaf 17" in report.first


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM ledger_event WHERE act = 'audit.prune'",
        "UPDATE ledger_removedspan SET last = last + 1",
        "INSERT INTO ledger_removedspan SELECT 1, 100000, 100001, gen_random_uuid()",
    ],
)
def test_a_removal_that_no_event_accounts_for_is_no_excuse(house: Sealed, harm: str) -> None:
    age(house, 366)
    prune_all()
    house.seal()
    house.harm("ALTER TABLE ledger_personal DROP CONSTRAINT IF EXISTS x", harm)
    report = house.verify()
    assert report.exit_code == INCOMPLETE, report.lines()
    assert any("should account for" in text for text in report.completeness)


def event_at(sealed: Sealed, position: int) -> str:
    [[found]] = sealed.ask(f"SELECT event_id FROM ledger_leaf WHERE position = {position}")
    return str(found)


@pytest.mark.parametrize("days", [400, 4000])
def test_a_clock_that_jumps_ahead_removes_nothing_early(house: Sealed, days: int) -> None:
    age(house, 100)
    jump(house, days)
    assert retention.boundary(365) is None
    assert prune_all() == 0
    assert left(house) >= EVENTS


def test_a_clock_set_back_keeps_longer_only(house: Sealed) -> None:
    age(house, 366)
    house.harm("UPDATE ledger_leaf SET sealed_at = now() + interval '1 year'")
    assert prune_all() == 0


def test_exports_are_kept_three_years(house: Sealed) -> None:
    export = happen(Act.AUDIT_EXPORT)
    house.seal()
    age(house, 1000)
    prune_all()
    assert Event.objects.filter(pk=export).exists()
    age(house, 98)
    prune_all()
    assert not Event.objects.filter(pk=export).exists()
    house.seal()
    assert house.verify().exit_code == FINE


def test_what_retention_did_is_never_removed(house: Sealed) -> None:
    age(house, 366)
    prune_all()
    house.seal()
    age(house, 36_000)
    prune_all()
    assert Event.objects.filter(act="audit.prune").count() >= 1
    house.seal()
    assert house.verify().exit_code == FINE


def test_the_floors_of_the_database_are_those_of_the_acts(house: Sealed) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT act, office_floor(act) FROM unnest(%s::text[]) AS act",
            [[a.value for a in REGISTRY]],
        )
        floors = dict(cursor.fetchall())
    assert {days for days in floors.values() if days is not None} == {183, 1096}
    assert floors["audit.export"] == floors["audit.fetch_export"] == 1096
    assert floors["audit.prune"] is None and floors["audit.hold"] is None
    assert floors["user.erased"] is None
    assert floors["inference.completed"] == 183


@pytest.mark.parametrize(
    ("days", "outside"), [(182, 1096), (0, 1096), (365, 1095), (40_000, 40_000)]
)
def test_case_46_nothing_below_the_floor_is_accepted(
    house: Sealed, days: int, outside: int
) -> None:
    with pytest.raises(Invalid):
        actions.set_retention(
            actor=who("audit"), days=days, outside_days=outside, reason="we need room"
        )
    with pytest.raises(DatabaseError):
        RetentionPolicy.objects.create(days=days, outside_days=outside)
    assert retention.policy().days == 365


def test_case_46_the_environment_cannot_lower_the_floor(house: Sealed, settings: Settings) -> None:
    settings.RETENTION_FLOOR_DAYS = 30
    with pytest.raises(ImproperlyConfigured):
        actions.prune(actor=BEAT)
    settings.RETENTION_FLOOR_DAYS, settings.RETENTION_PROFILE = 0, "anything"
    with pytest.raises(ImproperlyConfigured):
        retention.floor()
    settings.RETENTION_FLOOR_DAYS, settings.RETENTION_PROFILE = 400, "cn"
    with pytest.raises(Invalid, match="at least 400"):
        actions.set_retention(actor=who("audit"), days=390, outside_days=1096, reason="r")


def test_case_46_the_database_refuses_below_the_floor_whoever_writes(house: Sealed) -> None:
    for role in (house.web, house.superuser):
        with psycopg.connect(role) as outside, pytest.raises(psycopg.Error):
            outside.execute(
                "INSERT INTO office_retentionpolicy (days, outside_days) VALUES (183, 1096)"
            )
    house.harm("ALTER TABLE office_retentionpolicy DROP CONSTRAINT retention_above_the_floor",
               "ALTER TABLE office_retentionpolicy DISABLE TRIGGER ALL",
               "UPDATE office_retentionpolicy SET days = 1")  # fmt: skip
    age(house, 182)
    assert prune_all() == 0


def test_the_policy_changes_by_a_second_person(house: Sealed) -> None:
    proposal = actions.set_retention(
        actor=who("audit"), days=200, outside_days=1200, reason="we need room"
    )
    assert retention.policy().days == 365
    approved(proposal)
    rule = retention.policy()
    assert (rule.days, rule.outside_days, rule.proposal_id) == (200, 1200, proposal.pk)
    said = orjson.loads(bytes(Event.objects.get(act="audit.set_retention").leaf))
    assert said["appr"]["approver"] == who("second").id
    with pytest.raises(Denied):
        actions.prune(actor=who("audit"))


def test_what_is_held_stays_until_a_second_person_lets_go(house: Sealed) -> None:
    mine = happen(Act.NODE_UPDATE, log.Obj("deployment", str(UUID(int=7)), "claims"))
    house.seal()
    with pytest.raises(Denied):
        actions.hold(actor=who("security"), kind="person", value=str(UUID(int=1)), reason="r")
    deployment = actions.hold(
        actor=who("audit"), kind="deployment", value=str(UUID(int=7)), label="claims", reason="suit"
    )
    person = actions.hold(actor=who("audit"), kind="person", value=who("audit").id, reason="suit")
    assert {h.pk for h in retention.holds_on(Event.objects.get(pk=mine))} == {
        deployment.pk, person.pk,
    }  # fmt: skip
    age(house, 400)
    prune_all()
    assert Event.objects.filter(pk=mine).exists()
    assert Event.objects.filter(deployment="claims").count() > EVENTS // 2
    assert let_go(deployment) == EVENTS // 2
    # The person's own is still held, and goes with the last hold.
    assert Event.objects.filter(pk=mine).exists()
    assert let_go(person) >= 1
    assert not Event.objects.filter(pk=mine).exists()
    with pytest.raises(WrongState):
        let_go(Hold.objects.get(pk=person.pk))
    house.seal()
    assert house.verify().exit_code == FINE


def let_go(held: Hold) -> int:
    """How many events go once a second person has let go of it; none before."""
    proposal = actions.release_hold(actor=who("audit"), hold=held, reason="settled")
    assert prune_all() == 0
    approved(proposal)
    return prune_all()


def test_a_period_is_held(house: Sealed) -> None:
    now = timezone.now()
    actions.hold(
        actor=who("audit"), kind="period", reason="March",
        from_at=now - timedelta(days=401), to_at=now + timedelta(hours=1),
    )  # fmt: skip
    age(house, 400)
    assert prune_all() == 0
    assert retention.preview().held >= EVENTS


def test_nobody_releases_a_hold_past_the_second_person(house: Sealed) -> None:
    actions.hold(actor=who("audit"), kind="person", value=who("audit").id, reason="suit")
    for role in (house.web, house.superuser):
        for statement in (
            "DELETE FROM office_hold",
            "UPDATE office_hold SET released_at = now(), release_id = gen_random_uuid()",
            "UPDATE office_hold SET value = 'other'",
        ):
            with psycopg.connect(role) as outside, pytest.raises(psycopg.Error):
                outside.execute(statement)
    assert Hold.objects.filter(released_at=None).count() == 1


def test_the_web_removes_nothing_by_itself(house: Sealed) -> None:
    age(house, 400)
    ids = house.ask("SELECT id FROM ledger_event LIMIT 1")
    with psycopg.connect(house.web) as web:
        for statement in (
            "DELETE FROM ledger_event",
            "INSERT INTO ledger_removedspan VALUES (1, 0, 9, gen_random_uuid())",
            "SELECT office_prune(gen_random_uuid(), 1::smallint, '{0}', '{9}', '{}', '{}', '{}')",
            f"SELECT office_prune('{ids[0][0]}', 1::smallint, '{{0}}', '{{9}}', '{{}}', '{{}}',"
            " '{}')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                web.execute(statement)
            web.rollback()
    assert left(house) >= EVENTS


@pytest.mark.parametrize("first", ["hold", "prune"])
def test_case_45_a_hold_set_at_the_same_moment_wins_or_the_removal_is_logged(
    house: Sealed, first: str
) -> None:
    """Two sessions: one has the lock, the other comes while it is held."""
    age(house, 400)
    target = event_at(house, 5)
    outcome: dict[str, Any] = {}
    begun = threading.Event()

    def prune() -> None:
        outcome["removed"] = actions.prune(actor=BEAT)

    def hold() -> None:
        outcome["hold"] = actions.hold(
            actor=BEAT,
            kind="period",
            reason="case",
            from_at=timezone.now() - timedelta(days=401),
            to_at=timezone.now() + timedelta(days=1),
        )

    def later() -> None:
        begun.set()
        try:
            (prune if first == "hold" else hold)()
        finally:
            connection.close()

    thread = threading.Thread(target=later)
    with transaction.atomic():
        if first == "hold":
            hold()
        else:
            prune()
        thread.start()
        assert begun.wait(60)
        thread.join(1)
        assert thread.is_alive(), "the second did not wait for the first"
    thread.join(120)
    house.seal()
    report = house.verify()
    assert report.exit_code == FINE
    if first == "hold":
        assert outcome["removed"] == 0
        assert Event.objects.filter(pk=target).exists()
    else:
        assert not Event.objects.filter(pk=target).exists()
        assert Event.objects.get(act="audit.prune").outcome == "success"
