"""Rules of alarms: what they find, that they find it once, and that a flood stays one alarm."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as django_settings
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access import actions as access
from access.models import User
from audit.ledger import log
from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
from audit.ledger.event import Draft, build
from audit.ledger.models import Event, Process, Sealer
from audit.office import actions
from audit.office.alarming import key_rules, log_rules, standing, watch, words
from audit.office.alarming.rules import RULES
from audit.office.alarming.standing import Finding
from audit.office.models import Alarm, AlarmRule, AlarmSighting, KeyHour, OutsideCopy, Verification
from audit.office.outside_models import Witness
from tests.audit.conftest import Happen

ActorOf = Callable[[str], Actor]


def look(key: str) -> None:
    assert watch.ask(key, watch.LOOKS[key])


def at(moment: datetime, act: Act, actor: Actor, **fields: Any) -> None:
    """An event of another time, as it would have been stored then."""
    made = build(Draft(actor, act, **fields), log=django_settings.FUSEBOX_LOG_ORIGIN, now=moment)
    pk = UUID(int=(int(moment.timestamp() * 1000) << 80) | (made.id.int & ((1 << 80) - 1)))
    Event.objects.create(id=pk, leaf=made.leaf, leaf_hash=made.leaf_hash, **made.columns)


def refuse(happen: Happen, times: int, who: str = "id-of-mallory") -> None:
    for _ in range(times):
        happen(Act.AUTHZ_DENIED, id=who, outcome="denied", ip="10.0.0.9")


def test_a_burst_of_refusals_is_one_alarm_that_counts(happen: Happen) -> None:
    refuse(happen, 19)
    look("denials")
    assert not Alarm.objects.exists()
    refuse(happen, 1)
    look("denials")
    look("denials")
    alarm = Alarm.objects.get()
    assert (alarm.rule, alarm.subject_id, alarm.count) == ("denials", "id-of-mallory", 20)
    refuse(happen, 5)
    look("denials")
    alarm.refresh_from_db()
    assert alarm.count == 25
    assert alarm.sightings.count() == 25
    assert Event.objects.filter(act="alarm.raise").count() == 1


def test_what_was_judged_does_not_open_another_alarm(happen: Happen, actor_of: ActorOf) -> None:
    refuse(happen, 25)
    look("denials")
    actions.acknowledge_alarm(
        actor=actor_of("audit"), alarm=Alarm.objects.get(), verdict="false", text="A load test."
    )
    look("denials")
    assert Alarm.objects.count() == 1
    refuse(happen, 20)
    look("denials")
    assert Alarm.objects.count() == 2


def test_nobody_signed_in_is_told_by_the_address(happen: Happen) -> None:
    for _ in range(20):
        happen(Act.AUTH_LOGIN, id="", name="root", ip="10.0.0.9", outcome="failure")
    look("denials")
    alarm = Alarm.objects.get()
    assert (alarm.subject_type, alarm.subject_id) == ("address", "10.0.0.9")
    event = Event.objects.get(act="alarm.raise")
    assert b"10.0.0.9" not in bytes(event.leaf), "an address is a personal value"


def test_a_lock_out_is_an_alarm(happen: Happen) -> None:
    happen(Act.AUTH_LOCKOUT, id="", name="li.wei", ip="10.0.0.9", outcome="denied")
    look("lockouts")
    assert Alarm.objects.get().rule == "lockouts"
    assert "10.0.0.9" in words.sentence(Alarm.objects.get())


def test_a_flood_of_subjects_is_folded_into_one(happen: Happen) -> None:
    for number in range(standing.MOST_OPEN + 30):
        happen(Act.AUTH_LOCKOUT, id="", name="x", ip=f"10.0.1.{number}", outcome="denied")
    look("lockouts")
    look("lockouts")
    assert Alarm.objects.count() == standing.MOST_OPEN + 1
    many = Alarm.objects.get(subject_type="many")
    assert many.facts["subjects"] == 30
    assert many.count == 30


def test_administration_at_night_is_an_alarm_and_by_day_is_not(
    people: dict[str, User], actor_of: ActorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    friday = datetime(2026, 11, 27, 15, 0, tzinfo=timezone.get_current_timezone())
    hours = RULES["off_hours"].values({})
    assert not log_rules.is_outside(friday, hours)
    assert log_rules.is_outside(friday.replace(hour=23), hours)
    assert log_rules.is_outside(friday + timedelta(days=1), hours)
    assert not log_rules.is_outside(friday + timedelta(days=1), {**hours, "weekend": 1})

    monkeypatch.setattr(log_rules, "is_outside", lambda _moment, _hours: True)
    actor = actor_of("system")
    at(timezone.now(), Act.NODE_REMOVE, actor)
    at(timezone.now(), Act.AUDIT_VIEW, actor)
    at(timezone.now(), Act.NODE_REMOVE, actor_of("member"))
    look("off_hours")
    look("off_hours")
    alarm = Alarm.objects.get()
    assert (alarm.subject_id, alarm.count) == (actor.id, 1)
    assert words.sentence(alarm).startswith("System (system) changed things")


def sign_in(user: User, ip: str) -> None:
    origin = Origin(ip=ip)
    actor = Actor(ActorKind.USER, str(user.pk), user.username, user.role, origin=origin)
    access.sign_in(actor=actor, user=user)


def test_the_first_address_of_an_administrator_is_learned_and_another_is_an_alarm(
    people: dict[str, User],
) -> None:
    sign_in(people["security"], "10.0.0.1")
    look("new_address")
    assert not Alarm.objects.exists()
    sign_in(people["security"], "10.0.0.1")
    sign_in(people["member"], "10.0.0.77")
    look("new_address")
    assert not Alarm.objects.exists()
    sign_in(people["security"], "10.9.9.9")
    look("new_address")
    look("new_address")
    alarm = Alarm.objects.get()
    assert (alarm.subject_id, alarm.count) == (str(people["security"].pk), 1)


def test_an_address_of_ipv6_is_known_by_its_network() -> None:
    assert log_rules.network_of("2001:db8::1:2:3:4") == log_rules.network_of("2001:db8::9")
    assert log_rules.network_of("10.0.0.1") == "10.0.0.1"
    assert log_rules.network_of("no address") == ""


KEY = "0198a000-0000-7000-8000-000000000001"


def use(moment: datetime, times: int) -> None:
    actor = Actor(ActorKind.SERVICE, "app", "app", "member", key_id=KEY)
    for number in range(times):
        at(moment + timedelta(milliseconds=number), Act.INFERENCE_ADMITTED, actor)


@pytest.mark.django_db
def test_a_key_that_is_used_far_more_than_its_median_is_an_alarm_once(
    actor_of: ActorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = key_rules._hour(timezone.now())
    for back in range(1, 31):
        KeyHour.objects.create(key_id=KEY, hour_at=hour - timedelta(hours=back), requests=back % 9)
    moment = max(hour, timezone.now() - timedelta(minutes=10))
    AlarmRule.objects.create(key="key_use", seen={"counted_to": moment.isoformat()})
    use(moment, 120)
    monkeypatch.setattr(key_rules, "SETTLED", timedelta(0))
    look("key_use")
    look("key_use")
    assert KeyHour.objects.get(key_id=KEY, hour_at=hour).requests == 120, "counted once"
    alarm = Alarm.objects.get()
    assert alarm.facts["requests"] == 120
    assert alarm.facts["median"] == 3
    actions.acknowledge_alarm(
        actor=actor_of("audit"), alarm=alarm, verdict="expected", text="A nightly job."
    )
    look("key_use")
    assert Alarm.objects.count() == 1, "the same hour was judged"


@pytest.mark.django_db
@pytest.mark.parametrize(("hours", "requests"), [(5, 1000), (30, 99), (30, 140)])
def test_a_short_history_or_little_use_is_nothing_unusual(hours: int, requests: int) -> None:
    now = timezone.now()
    hour = key_rules._hour(now)
    for back in range(1, hours + 1):
        KeyHour.objects.create(key_id=KEY, hour_at=hour - timedelta(hours=back), requests=30)
    KeyHour.objects.create(key_id=KEY, hour_at=hour, requests=requests)
    assert key_rules._judged(now) == []


@pytest.mark.django_db
def test_a_late_sealer_is_an_alarm_that_closes_when_it_seals_again() -> None:
    Sealer.objects.create(id=1, state="sealing", beat_at=timezone.now() - timedelta(minutes=5))
    look("sealer_late")
    alarm = Alarm.objects.get()
    Sealer.objects.update(beat_at=timezone.now())
    look("sealer_late")
    alarm.refresh_from_db()
    assert alarm.closed_at is not None
    assert Event.objects.filter(act="alarm.close").count() == 1
    Sealer.objects.update(beat_at=timezone.now() - timedelta(minutes=5))
    look("sealer_late")
    alarm.refresh_from_db()
    assert (Alarm.objects.count(), alarm.is_open, alarm.count) == (1, True, 2), "it flaps"


@pytest.mark.django_db
def test_a_late_copy_a_dead_process_and_a_log_that_is_not_whole() -> None:
    old = timezone.now() - timedelta(minutes=10)
    OutsideCopy.objects.create(name="siem", address="x", problem="refused", since=old)
    OutsideCopy.objects.create(name="folder", address="y", beat_at=old)
    Process.objects.create(boot=UUID(int=1), name="gateway@a/1", beat_at=old)
    ended = Process.objects.create(boot=UUID(int=2), name="gateway@a/2", beat_at=old)
    event = build(Draft(Actor.system("t"), Act.PROCESS_STOPPED), log="x")
    columns = {**event.columns, "boot": ended.boot}
    Event.objects.create(id=event.id, leaf=event.leaf, leaf_hash=event.leaf_hash, **columns)
    Verification.objects.create(
        requester="t", state="done", exit_code=1, findings={"integrity": ["leaf 7 was changed"]}
    )
    for key in ("outside_late", "process_silent", "log_not_whole"):
        look(key)
        look(key)
    found = {(a.rule, a.subject_id) for a in Alarm.objects.all()}
    assert found >= {("outside_late", "siem"), ("outside_late", "folder")}
    assert ("process_silent", str(UUID(int=1))) in found
    assert len(found) == 4
    assert "leaf 7" in words.sentence(Alarm.objects.get(rule="log_not_whole"))


@pytest.mark.django_db
def test_a_full_disk_is_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    row = AlarmRule.objects.create(key="disk_low", values={"percent": 50})
    assert RULES["disk_low"].values(row.values) == {"percent": 50}
    monkeypatch.setattr(
        "audit.office.alarming.house_rules.values_of", lambda _key: {"percent": 101}
    )
    look("disk_low")
    assert Alarm.objects.get().rule == "disk_low"


@pytest.mark.django_db
def test_a_threshold_written_past_the_console_has_no_effect() -> None:
    AlarmRule.objects.create(key="denials", values={"count": 10**9, "minutes": "5"})
    assert standing.values_of("denials") == {"count": 20, "minutes": 5}


@pytest.mark.django_db
def test_a_rule_that_fails_says_so_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_since: datetime | None) -> list[Finding]:
        raise ValueError("the disk is gone")

    AlarmRule.objects.create(key="disk_low")
    monkeypatch.setitem(watch.LOOKS, "disk_low", broken)
    watch.ask_all()
    assert AlarmRule.objects.get(key="disk_low").problem == "the disk is gone"
    assert AlarmRule.objects.get(key="undelivered").looked_at is not None
    assert watch.looked_at() is None, "one has not looked, and the pages say so"


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_look_at_once_are_one() -> None:
    inside, go, answers = threading.Event(), threading.Event(), []

    def slow(_since: datetime | None) -> list[Finding]:
        inside.set()
        assert go.wait(60)
        return []

    def first() -> None:
        answers.append(watch.ask("denials", slow))
        connections.close_all()

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(60)
    assert watch.ask("denials", log_rules.denials) is False
    go.set()
    thread.join(60)
    assert answers == [True]


def test_a_rule_at_rest_looks_for_nothing(happen: Happen, actor_of: ActorOf) -> None:
    actions.set_alarm_rule(actor=actor_of("audit"), key="denials", values={}, resting=True)
    refuse(happen, 30)
    look("denials")
    assert not Alarm.objects.exists()


def test_every_rule_asks_an_index_and_no_more_than_a_few_times(
    happen: Happen, people: dict[str, User]
) -> None:
    """However large the log is: no plan may read all events."""
    refuse(happen, 3)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    for key in ("denials", "lockouts", "off_hours", "new_address", "key_use"):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            look(key)
        assert len(asked) < 90, key
        for query in asked.captured_queries:
            sql = query["sql"]
            if not sql.startswith("SELECT") or '"ledger_event"' not in sql:
                continue
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "Seq Scan on ledger_event" not in plan, plan


def test_a_subject_that_is_gone_has_no_alarms_of_a_state(db: None) -> None:
    node = log.Obj("node", "1", "n")
    standing.apply("cloud_on", [Finding(node)], about=node)
    other = log.Obj("node", "2", "m")
    standing.apply("cloud_on", [Finding(other)], about=other)
    assert Alarm.objects.open().count() == 2, "a rule asked about one leaves the others alone"
    standing.gone(node)
    assert [a.subject_id for a in Alarm.objects.open()] == ["2"]
    assert not AlarmSighting.objects.exists()


@pytest.mark.django_db
def test_a_witness_that_contradicts_is_the_gravest_alarm_until_it_is_settled() -> None:
    seen = Witness.objects.create(
        name="auditor-pc", vkey="v", sha256=b"x" * 32, registered_by="t", alarm="fork: another root"
    )
    late = Witness.objects.create(
        name="bank", vkey="w", sha256=b"y" * 32, registered_by="t", late_since=timezone.now()
    )
    for key in ("witness_alarm", "outside_late"):
        look(key)
    found = {(a.rule, a.subject_id) for a in Alarm.objects.open()}
    assert found == {("witness_alarm", str(seen.pk)), ("outside_late", str(late.pk))}
    assert RULES["witness_alarm"].severity == 6
    Witness.objects.update(alarm="", late_since=None)
    for key in ("witness_alarm", "outside_late"):
        look(key)
    assert not Alarm.objects.open().exists()
