"""A verification ends with the right verdict, whatever somebody with the database does to it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.event import Draft
from audit.ledger.note import Checkpoint
from audit.ledger.report import BAD_INPUT, CANNOT, FINE, INCOMPLETE, TAMPERED
from tests.audit.sealed.conftest import EVENTS, LOG, Sealed, hash_anew, store
from tests.audit.sealed.test_attacks import event_at
from tests.audit.sealed.test_unsigned import REWRITTEN

BEAT = Draft(Actor.system("tests"), Act.NODE_UPDATE)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("subtree", "root"),
        ("checkpoint", "root"),
        ("checkpoint", "note"),
        ("checkpoint", "size"),
        ("signingkey", "vkey"),
        ("tree", "hash"),
        ("tree", "origin"),
        ("leaf", "leaf_hash"),
        ("event", "leaf"),
        ("event", "leaf_hash"),
    ],
)
def test_a_value_that_is_none_is_a_finding(sealed: Sealed, table: str, column: str) -> None:
    sealed.harm(
        f"ALTER TABLE ledger_{table} ALTER {column} DROP NOT NULL",
        f"UPDATE ledger_{table} SET {column} = NULL",
    )
    assert sealed.verify().exit_code == TAMPERED


def test_an_event_larger_than_the_database_can_say_is_a_finding(sealed: Sealed) -> None:
    sealed.harm(
        "UPDATE ledger_event SET leaf = convert_to(repeat('a', 700000000), 'UTF8')"
        f" WHERE id = '{event_at(sealed, 76)}'"
    )
    for beside in (True, False):
        report = sealed.verify(beside=beside)
        assert report.exit_code == TAMPERED
        assert "leaf 76" in report.first


def test_a_locked_table_is_no_verification(sealed: Sealed) -> None:
    with psycopg.connect(sealed.superuser) as connection:
        connection.execute("LOCK TABLE ledger_checkpoint IN ACCESS EXCLUSIVE MODE")
        done = sealed.manage("audit_verify")
    assert done.returncode == CANNOT
    assert "lock timeout" in done.stderr


@pytest.mark.parametrize("text", ["hello", "a\nb\nc\n\n— x y\n"])
def test_a_text_that_is_no_note_is_bad_input(sealed: Sealed, tmp_path: Path, text: str) -> None:
    file = tmp_path / "junk"
    file.write_text(text)
    done = sealed.manage("audit_verify", "--checkpoint", str(file))
    assert done.returncode == BAD_INPUT
    assert "is no checkpoint" in done.stderr


def test_an_old_head_is_compared_since_the_last_as_well(sealed: Sealed, tmp_path: Path) -> None:
    assert sealed.manage("audit_verify").returncode == FINE
    sealed.happen(1)
    sealed.seal()
    false = Checkpoint(LOG.origin, 300, b"\x07" * 32).sign(sealed.custody.signer(LOG.base))
    file = tmp_path / "head"
    file.write_text(false)
    done = sealed.manage("audit_verify", "--since-last", "--checkpoint", str(file))
    assert done.returncode == TAMPERED
    assert "the first 300 leaves" in done.stdout


def test_a_head_where_a_verification_begins_is_compared(sealed: Sealed) -> None:
    false = Checkpoint(LOG.origin, 512, b"\x07" * 32).sign(sealed.custody.signer(LOG.base))
    assert sealed.verify(since=EVENTS).exit_code == FINE
    report = sealed.verify(since=EVENTS, outside=[false])
    assert report.exit_code == TAMPERED


def test_since_the_last_what_was_put_in_without_waiting_is_found_too(sealed: Sealed) -> None:
    store(sealed, BEAT)
    assert sealed.verify(since=EVENTS).exit_code == FINE
    sealed.harm("DELETE FROM ledger_pending")
    report = sealed.verify(since=EVENTS)
    assert report.exit_code == INCOMPLETE
    assert "not sealed and does not wait" in report.first


def test_who_waits_too_long_cannot_say_that_it_is_later(sealed: Sealed) -> None:
    store(sealed, BEAT)
    assert sealed.verify().exit_code == FINE
    sealed.harm(
        "UPDATE ledger_event SET created_at = now() + interval '1 year'"
        " WHERE id IN (SELECT event_id FROM ledger_pending)"
    )
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert "have waited for the sealer" in report.first


def test_an_id_says_how_long_an_event_waits(sealed: Sealed) -> None:
    store(sealed, BEAT)
    sealed.harm(
        "UPDATE ledger_pending SET event_id = ('0190' || substr(event_id::text, 5))::uuid",
        "ALTER TABLE ledger_personal DROP CONSTRAINT IF EXISTS ledger_personal_event_id_fkey",
        "UPDATE ledger_event SET id = ('0190' || substr(id::text, 5))::uuid, created_at = now()"
        " WHERE id NOT IN (SELECT event_id FROM ledger_leaf)",
    )
    assert any("have waited" in text for text in sealed.verify().completeness)


def test_what_waits_is_there(sealed: Sealed) -> None:
    sealed.harm("INSERT INTO ledger_pending (event_id) SELECT gen_random_uuid()")
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert "1 events that wait to be sealed are not there" in report.first


@pytest.mark.parametrize("rehashed", [False, True])
def test_a_missing_leaf_hides_nothing_that_comes_after_it(sealed: Sealed, rehashed: bool) -> None:
    sealed.harm(REWRITTEN.format(500))
    if rehashed:
        hash_anew(sealed)
    sealed.harm("DELETE FROM ledger_leaf WHERE position = 77")
    for options in ({}, {"beside": False}):
        report = sealed.verify(**options)
        assert report.exit_code == TAMPERED
        assert report.completeness[0] == f"leaf 77 of {LOG.origin} is missing"


def test_missing_leaves_of_several_subtrees_are_named(sealed: Sealed) -> None:
    sealed.harm("DELETE FROM ledger_leaf WHERE position BETWEEN 200 AND 520")
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert not report.integrity
    assert f"leaf 200 of {LOG.origin} is missing" in report.completeness


def test_what_the_sealer_missed_is_told(sealed: Sealed) -> None:
    gone = store(sealed, BEAT)
    sealed.harm(
        f"DELETE FROM ledger_personal WHERE event_id = '{gone}'",
        f"DELETE FROM ledger_event WHERE id = '{gone}'",
    )
    sealed.seal()
    sealed.seal()
    report = sealed.verify()
    assert report.exit_code == FINE, report.first
    text = f"an event was gone before it was sealed, 1 times, first said in leaf {EVENTS}"
    assert text in report.notes
