"""What may be gone, lawfully: excuses that somebody with the database invents."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.erased import rest_of
from audit.ledger.event import Draft
from audit.ledger.removed import digest_of
from audit.ledger.report import FINE, INCOMPLETE, TAMPERED
from audit.office import actions
from tests.audit.sealed.conftest import Sealed, age, prune_all, store, who
from tests.audit.sealed.test_attacks import event_at
from tests.audit.sealed.test_erasure import ERASE


def rename(sealed: Sealed, position: int, erasure: str) -> None:
    """Other names in an event, excused by an erasure that is none."""
    target = event_at(sealed, position)
    [[leaf]] = sealed.ask(f"SELECT leaf FROM ledger_event WHERE id = '{target}'")
    values = dict.fromkeys(orjson.loads(bytes(leaf))["red"], "10.66.6.6")
    key = os.urandom(32)
    sealed.harm(
        "INSERT INTO ledger_erased (event_id, erasure_id, rest) VALUES (%s, %s, %s)",
        values=(target, erasure, rest_of(key, values)),
    )
    sealed.harm(
        'UPDATE ledger_personal SET key = %s, "values" = %s, ip = %s WHERE event_id = %s',
        values=(key, json.dumps(values), values.get("src.ip", ""), target),
    )


def test_any_event_is_no_erasure(sealed: Sealed) -> None:
    rename(sealed, 76, event_at(sealed, 590))
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert "is no recorded erasure" in report.first


def test_an_event_that_retention_took_excuses_no_other_values(house: Sealed) -> None:
    age(house, 366)
    actions.hold(actor=who("audit"), kind="event", value=event_at(house, 16), reason="case 7")
    gone = event_at(house, 400)
    prune_all()
    house.seal()
    assert house.verify().exit_code == FINE
    rename(house, 16, gone)
    report = house.verify()
    assert report.exit_code == TAMPERED
    assert f"{gone}, which is no recorded erasure" in report.first


def test_what_an_erasure_left_of_an_event_that_is_held_stays_provable(house: Sealed) -> None:
    actions.hold(actor=who("audit"), kind="event", value=event_at(house, 16), reason="case 7")
    done = house.manage("shell", "--no-imports", "-c", ERASE)
    assert done.returncode == 0, done.stderr
    house.seal()
    age(house, 400)
    assert prune_all() > 0
    house.seal()
    assert house.ask("SELECT count(*) > 0 FROM ledger_event WHERE act = 'user.erased'") == [(True,)]
    report = house.verify()
    assert report.exit_code == FINE, report.lines()


def take(sealed: Sealed, position: int, at: datetime | None = None) -> None:
    """An event is deleted, and one that anybody may write says that retention took it."""
    gone = event_at(sealed, position)
    details = {"spans": digest_of([(1, position, position)], []), "count": 1, "days": 365}
    said = store(sealed, Draft(Actor.system("tests"), Act.AUDIT_PRUNE, details=details), at=at)
    sealed.harm(
        f"INSERT INTO ledger_removedspan (tree, first, last, event_id)"
        f" VALUES (1, {position}, {position}, '{said}')",
        f"DELETE FROM ledger_mention WHERE event_id = '{gone}'",
        f"DELETE FROM ledger_personal WHERE event_id = '{gone}'",
        f"DELETE FROM ledger_event WHERE id = '{gone}'",
    )


@pytest.mark.parametrize("sealed_first", [True, False])
def test_a_removal_in_a_time_to_come_is_no_excuse(sealed: Sealed, sealed_first: bool) -> None:
    take(sealed, 76, datetime.now(UTC) + timedelta(days=400))
    if sealed_first:
        sealed.seal()
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert "kept for less than 183 days" in report.first


def test_an_older_sealing_time_is_refuted_by_what_is_left(sealed: Sealed) -> None:
    take(sealed, 76)
    sealed.harm("UPDATE ledger_leaf SET sealed_at = sealed_at - interval '400 days'")
    sealed.seal()
    for options in ({}, {"beside": False}):
        report = sealed.verify(**options)
        assert report.exit_code == INCOMPLETE
        assert any("and younger than 183 days" in text for text in report.completeness)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE ledger_leaf SET sealed_at = '-infinity' WHERE position >= 600",
        "UPDATE ledger_leaf SET sealed_at = 'infinity' WHERE position = 76",
    ],
)
def test_times_that_are_none_are_no_excuse(sealed: Sealed, harm: str) -> None:
    take(sealed, 76)
    sealed.seal()
    sealed.harm(harm)
    assert sealed.verify().exit_code == INCOMPLETE


@pytest.mark.parametrize("details", [{}, {"days": "x"}, {"spans": 7}])
def test_a_removal_that_says_nonsense_is_no_excuse(sealed: Sealed, details: dict[str, Any]) -> None:
    said = store(sealed, Draft(Actor.system("tests"), Act.AUDIT_PRUNE, details=details))
    sealed.harm(
        f"INSERT INTO ledger_removedspan (tree, first, last, event_id) VALUES (1, 5, 5, '{said}')",
        f"UPDATE ledger_event SET leaf = '{{}}' WHERE id = '{said}'",
    )
    assert sealed.verify().exit_code == INCOMPLETE
