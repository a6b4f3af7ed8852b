"""The door of the log: in the transaction of the change, or in one of its own."""

from __future__ import annotations

import json

import psycopg
import pytest
from django.db import connection, transaction

from audit.ledger import log
from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
from audit.ledger.canonical import NotCanonical, commitment, leaf_hash
from audit.ledger.log import Change, LogUnavailable, NotInTransaction, Obj
from audit.ledger.models import Event, Mention, Personal
from tests.audit.conftest import Happen

FROM_HOME = Origin("10.0.0.7", "curl/8", "r-1", "POST", "/x/")
LI_WEI = Actor(ActorKind.USER, "7", "li.wei", "member", origin=FROM_HOME)


@pytest.mark.django_db(transaction=True)
def test_a_change_is_not_recorded_outside_its_transaction() -> None:
    with pytest.raises(NotInTransaction):
        log.record(LI_WEI, Act.NODE_REMOVE)
    assert not Event.objects.exists()


def test_what_is_rolled_back_leaves_no_event(db: None) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        log.record(LI_WEI, Act.NODE_REMOVE)
        raise ZeroDivisionError
    assert not Event.objects.exists()


def test_the_columns_are_those_of_the_leaf(happen: Happen) -> None:
    made = happen(
        Act.GRANT_CREATE,
        Obj("deployment", "d-1", "claims"),
        Obj("user", "u-1", "li.wei", personal=True),
        ip="10.0.0.7",
        request="r-1",
        outcome="failure",
        reason="no",
    )
    event = Event.objects.get(pk=made.id)
    leaf = json.loads(bytes(event.leaf))
    assert leaf["id"] == str(event.pk)
    assert leaf["t"] == event.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert (leaf["act"], leaf["cat"], leaf["outcome"]) == ("grant.create", "grant", "failure")
    assert leaf["obj"][0] == {"type": "deployment", "id": "d-1", "label": "claims"}
    assert (event.object_id, event.object_label, event.deployment) == ("d-1", "claims", "claims")
    assert [m.object_id for m in Mention.objects.all()] == ["u-1"]
    assert bytes(event.leaf_hash) == leaf_hash(bytes(event.leaf))


def test_names_and_addresses_are_committed_to_and_lie_beside(happen: Happen) -> None:
    person = Obj("user", "u-1", "wang.fang", personal=True)
    private = Change("prompt", None, "be kind", private=True)
    made = happen(Act.USER_CREATE, person, name="li.wei", ip="10.0.0.7", changes=[private])
    leaf = bytes(Event.objects.get(pk=made.id).leaf)
    kept = Personal.objects.get(event=made.id)
    for secret in (b"li.wei", b"wang.fang", b"10.0.0.7", b"be kind"):
        assert secret not in leaf
    assert kept.values == {
        "actor.name": "li.wei",
        "src.ip": "10.0.0.7",
        "obj.0.label": "wang.fang",
        "chg.prompt.new": "be kind",
    }
    red = json.loads(leaf)["red"]
    assert red == {name: commitment(bytes(kept.key), name, v) for name, v in kept.values.items()}


def test_the_same_name_is_committed_to_differently_each_time(happen: Happen) -> None:
    first, second = happen(name="li.wei"), happen(name="li.wei")
    reds = [json.loads(e.leaf)["red"]["actor.name"] for e in (first, second)]
    assert reds[0] != reds[1]


def test_own_transactions_are_numbered_without_a_gap(db: None) -> None:
    made = [log.record_alone(LI_WEI, Act.AUTHZ_DENIED, outcome="denied") for _ in range(3)]
    numbers = [e.columns["wseq"] for e in made]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert len({e.columns["boot"] for e in made}) == 1


def test_what_cannot_be_built_takes_no_number(db: None) -> None:
    before = log.record_alone(LI_WEI, Act.AUTHZ_DENIED).columns["wseq"]
    with pytest.raises(NotCanonical):
        log.record_alone(LI_WEI, Act.AUTHZ_DENIED, details={"n": 2**53})
    assert log.record_alone(LI_WEI, Act.AUTHZ_DENIED).columns["wseq"] == before + 1


@pytest.mark.django_db(transaction=True)
def test_a_log_that_cannot_be_written_says_so_and_is_numbered_anew() -> None:
    before = log.record_alone(LI_WEI, Act.AUTHZ_DENIED).columns
    parameters = connection.get_connection_params()
    with psycopg.connect(**parameters) as other, connection.cursor() as cursor:
        other.execute("LOCK TABLE ledger_event")
        cursor.execute("SET lock_timeout = '200ms'")
        with pytest.raises(LogUnavailable):
            log.record_alone(LI_WEI, Act.AUTHZ_DENIED)
        other.rollback()
        cursor.execute("RESET lock_timeout")
    after = log.record_alone(LI_WEI, Act.AUTHZ_DENIED).columns
    assert after["wseq"] == 0
    assert after["boot"] != before["boot"]


@pytest.mark.parametrize("outcome", ["", "ok", "Success"])
def test_an_outcome_is_one_of_five(happen: Happen, outcome: str) -> None:
    with pytest.raises(ValueError, match="unknown outcome"):
        happen(outcome=outcome)


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\x1bb", "a\u202eb", "\ud800", "é" * 5000])
def test_hostile_text_is_one_event(happen: Happen, text: str) -> None:
    made = happen(Act.NODE_REGISTER, Obj("node", text, text), name=text, ip=text, reason=text)
    leaf = bytes(Event.objects.get(pk=made.id).leaf)
    assert b"\n" not in leaf
    assert len(leaf) <= 16 * 1024
    assert json.loads(leaf)["obj"][0]["label"][:1] == Event.objects.get().object_label[:1]
