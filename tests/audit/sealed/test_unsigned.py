"""What no signature covers, written by somebody with the database and without the key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.event import Draft
from audit.ledger.report import FINE, INCOMPLETE, TAMPERED
from tests.audit.sealed.conftest import (
    EVENTS,
    LOG,
    Sealed,
    age,
    date_back,
    hash_anew,
    sign_at,
    store,
)
from tests.audit.sealed.test_rollback import begin_second_tree, restore_what_was
from tests.audit.sealed.test_sealer import load, process, until

TREE = (
    "INSERT INTO ledger_tree (number, origin, hash)"
    " VALUES ({0}, 'fusebox.test/audit/{0}', 'sha256')"
)
REWRITTEN = (
    "UPDATE ledger_event SET outcome = 'failure', leaf = convert_to(replace(convert_from(leaf,"
    " 'UTF8'), '\"outcome\":\"denied\"', '\"outcome\":\"failure\"'), 'UTF8')"
    " WHERE outcome = 'denied' AND id IN (SELECT event_id FROM ledger_leaf WHERE position >= {})"
)


def rewrite(sealed: Sealed, begin: int = 0) -> None:
    """Another history, whole in itself: all but the signatures is made to fit."""
    sealed.harm(REWRITTEN.format(begin))
    hash_anew(sealed)


def test_without_any_signed_head_a_history_is_not_believed(sealed: Sealed) -> None:
    date_back(sealed, "1 minute")
    rewrite(sealed)
    sealed.harm("DELETE FROM ledger_checkpoint")
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert f"has {EVENTS} leaves and no signed head" in report.first


def test_with_one_old_head_what_came_after_is_not_believed(sealed: Sealed) -> None:
    sign_at(sealed, 300)
    sealed.harm("DELETE FROM ledger_checkpoint WHERE size > 300")
    age(sealed, 2)
    sealed.harm("DELETE FROM ledger_checkpoint WHERE size > 300")
    rewrite(sealed, 300)
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert f"{EVENTS - 300} leaves of {LOG.origin} came after the last signed head" in report.first


def test_what_was_sealed_just_now_is_not_yet_under_a_signature(sealed: Sealed) -> None:
    sealed.happen()
    sealed.seal()
    sealed.harm(f"DELETE FROM ledger_checkpoint WHERE size > {EVENTS}")
    report = sealed.verify()
    assert report.exit_code == FINE, report.lines()
    text = f"the last {report.size - EVENTS} events of {LOG.origin} are not yet under a signature"
    assert text in report.notes


def test_heads_are_of_a_tree_that_is_there(sealed: Sealed) -> None:
    sealed.harm("UPDATE ledger_checkpoint SET tree = 7")
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert "signed heads of a tree 7" in report.first


def test_leaves_are_of_a_tree_that_is_there(sealed: Sealed) -> None:
    sealed.harm("UPDATE ledger_leaf SET tree = 0 WHERE position = 599")
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert "leaves of a tree 0" in report.first


def test_an_empty_tree_was_begun_by_no_sealer(sealed: Sealed) -> None:
    sealed.harm(TREE.format(2))
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert "/2 does not begin with what a new tree begins with" in report.first
    assert sealed.verify(since=EVENTS).exit_code == TAMPERED


@pytest.mark.parametrize("number", [0, 2, 3])
def test_an_invented_event_in_a_tree_of_its_own_is_found(sealed: Sealed, number: int) -> None:
    pk = store(sealed, Draft(Actor.system("tests"), Act.NODE_UPDATE))
    sealed.harm(
        "DELETE FROM ledger_pending",
        TREE.format(number),
        f"INSERT INTO ledger_leaf SELECT {number}, 0, id, leaf_hash, now() FROM ledger_event"
        f" WHERE id = '{pk}'",
    )
    assert sealed.verify().exit_code == TAMPERED


@pytest.mark.parametrize(
    ("column", "value", "word"),
    [
        ("hash", "sm3", "has the hash sm3"),
        ("hash", "md5", "has the hash md5"),
        ("origin", "evil/audit/1", "is called evil/audit/1"),
        ("origin", "fusebox.test/audit/2", "is called fusebox.test/audit/2"),
    ],
)
def test_a_tree_is_what_the_certificate_says(
    sealed: Sealed, column: str, value: str, word: str
) -> None:
    sealed.harm(f"UPDATE ledger_tree SET {column} = '{value}'")
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert any(word in text for text in report.integrity)


def begin_anew(sealed: Sealed) -> None:
    """A restored backup, acknowledged; the sealer goes on with a second tree."""
    restore_what_was(sealed)
    begin_second_tree(sealed)


def test_a_new_tree_without_the_word_of_two_people_is_incomplete(sealed: Sealed) -> None:
    begin_anew(sealed)
    assert sealed.verify().exit_code == FINE
    sealed.harm("UPDATE ledger_event SET object_id = 'x' WHERE act = 'audit.acknowledge'")
    report = sealed.verify(beside=False)
    assert report.exit_code == INCOMPLETE
    assert "the log does not have that 2 people acknowledged it" in report.first


def test_the_leaves_of_all_trees_are_no_position_in_the_newest(sealed: Sealed) -> None:
    begin_anew(sealed)
    assert sealed.manage("audit_verify").returncode == FINE
    sealed.happen(200)
    sealed.seal()
    sealed.harm(
        REWRITTEN.format(100) + " AND id > (SELECT event_id FROM ledger_leaf"
        " WHERE tree = 2 AND position = 100) AND id < (SELECT event_id FROM ledger_leaf"
        " WHERE tree = 2 AND position = 110)"
    )
    assert sealed.manage("audit_verify", "--since-last").returncode == TAMPERED


def test_what_is_missing_at_the_end_of_an_older_tree_is_missed(sealed: Sealed) -> None:
    begin_anew(sealed)
    sealed.harm(
        "DELETE FROM ledger_checkpoint WHERE tree = 1",
        "DELETE FROM ledger_leaf WHERE tree = 1 AND position >= 290",
    )
    report = sealed.verify()
    assert any("had 300 leaves when the rollback" in text for text in report.completeness)
    assert any("no signed head" in text for text in report.completeness)


def test_a_new_log_is_incomplete_until_it_is_sealed_and_then_fine(
    sealed: Sealed, tmp_path: Path
) -> None:
    """What happened before there was a sealer is old, and signed as soon as it is sealed."""
    date_back(sealed, "1 hour")
    sealed.harm(
        "UPDATE ledger_event SET leaf_hash = sha256('\\x00'::bytea || leaf)",
        *(
            f"DELETE FROM ledger_{table}"
            for table in ("leaf", "subtree", "checkpoint", "tree", "signingkey", "sealer")
        ),
        "INSERT INTO ledger_pending (event_id) SELECT id FROM ledger_event ORDER BY id",
    )
    fresh = replace(sealed, folder=tmp_path / "fresh")
    with process(fresh):
        until("SELECT count(*) = 1 FROM ledger_checkpoint", fresh)
        report = fresh.verify(own_head=True)
    assert report.exit_code == FINE, report.lines()


def test_a_sealer_that_is_busy_is_fine_at_any_moment(sealed: Sealed) -> None:
    since = EVENTS
    with process(sealed), load(sealed):
        for _each in range(4):
            report = sealed.verify(own_head=True)
            assert report.exit_code == FINE, report.lines()
            later = sealed.verify(own_head=True, since=since)
            assert later.exit_code == FINE, later.lines()
            since = report.newest
