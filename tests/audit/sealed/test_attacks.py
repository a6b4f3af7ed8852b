"""What somebody with the whole database in hand may try, and what a verification says of it."""

from __future__ import annotations

import base64
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pytest_django import Settings

from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.note import Checkpoint, Signer
from audit.ledger.report import CANNOT, FINE, INCOMPLETE, TAMPERED
from tests.audit.sealed.conftest import EVENTS, LOG, Sealed, hash_anew, sign_at, signed_in

AT = "(SELECT event_id FROM ledger_leaf WHERE position = {})"
FLIP = "set_byte(leaf, 100, get_byte(leaf, 100) # 1)"


def event_at(sealed: Sealed, position: int) -> str:
    [[found]] = sealed.ask(f"SELECT event_id FROM ledger_leaf WHERE position = {position}")
    return str(found)


def test_a_log_that_nobody_touched_is_fine(sealed_template: Sealed) -> None:
    report = sealed_template.verify(own_head=True)
    assert report.lines()[-1] == "exit code      0"
    assert (report.events, report.size) == (EVENTS, EVENTS)
    assert report.exit_code == FINE


def test_a_flipped_byte_is_named(sealed: Sealed) -> None:
    sealed.harm(f"UPDATE ledger_event SET leaf = {FLIP} WHERE id = {AT.format(77)}")
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert f"leaf 77, event {event_at(sealed, 77)}" in report.first


def test_an_event_edited_with_its_hash_is_named(sealed: Sealed) -> None:
    sealed.harm(
        f"UPDATE ledger_event SET leaf = {FLIP}, leaf_hash = sha256('\\x00'::bytea || {FLIP})"
        f" WHERE id = {AT.format(77)}"
    )
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert "leaf 77" in report.first


def test_an_event_edited_with_both_hashes_does_not_lead_to_the_root(sealed: Sealed) -> None:
    sealed.harm(
        f"UPDATE ledger_event SET leaf = {FLIP}, leaf_hash = sha256('\\x00'::bytea || {FLIP})"
        f" WHERE id = {AT.format(77)}",
        "UPDATE ledger_leaf l SET leaf_hash = e.leaf_hash FROM ledger_event e"
        " WHERE e.id = l.event_id AND l.position = 77",
    )
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert any("not those that were signed" in text for text in report.integrity)


def forge(sealed: Sealed) -> None:
    """Edit an event and sign the whole tree anew with the stolen key."""
    sealed.harm(f"UPDATE ledger_event SET leaf = {FLIP} WHERE id = {AT.format(77)}")
    hash_anew(sealed)
    sealed.harm("DELETE FROM ledger_checkpoint")
    sign_at(sealed, EVENTS)


def test_a_stolen_key_cannot_change_what_an_outside_checkpoint_covers(sealed: Sealed) -> None:
    [[outside]] = sealed.ask("SELECT note FROM ledger_checkpoint ORDER BY id DESC LIMIT 1")
    forge(sealed)
    report = sealed.verify(outside=[outside])
    assert report.exit_code == TAMPERED
    assert any("not those that were signed" in text for text in report.integrity)


def test_without_an_outside_checkpoint_the_sealers_record_shows_it(sealed: Sealed) -> None:
    forge(sealed)
    assert sealed.verify(own_head=True).exit_code == TAMPERED


def test_the_last_leaves_are_missed(sealed: Sealed) -> None:
    sealed.harm(
        f"DELETE FROM ledger_personal WHERE event_id IN (SELECT event_id FROM ledger_leaf"
        f" WHERE position >= {EVENTS - 10})",
        f"DELETE FROM ledger_event WHERE id IN (SELECT event_id FROM ledger_leaf"
        f" WHERE position >= {EVENTS - 10})",
        f"DELETE FROM ledger_leaf WHERE position >= {EVENTS - 10}",
    )
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert f"signed with {EVENTS} leaves; {EVENTS - 10} are there" in report.first


def test_the_tail_and_its_checkpoint_are_missed_by_the_sealers_record(sealed: Sealed) -> None:
    sealed.harm(
        "DELETE FROM ledger_personal WHERE event_id IN (SELECT event_id FROM ledger_leaf"
        " WHERE position >= 300)",
        "DELETE FROM ledger_event WHERE id IN (SELECT event_id FROM ledger_leaf"
        " WHERE position >= 300)",
        "DELETE FROM ledger_leaf WHERE position >= 300",
        "DELETE FROM ledger_checkpoint",
        "DELETE FROM ledger_subtree WHERE index > 0",
    )
    assert sealed.verify(own_head=True).exit_code == INCOMPLETE


def test_an_event_deleted_in_the_middle_is_named(sealed: Sealed) -> None:
    missing = event_at(sealed, 77)
    sealed.harm(
        f"DELETE FROM ledger_personal WHERE event_id = '{missing}'",
        f"DELETE FROM ledger_event WHERE id = '{missing}'",
    )
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert missing in report.first


def test_a_missing_leaf_is_named(sealed: Sealed) -> None:
    sealed.harm("DELETE FROM ledger_leaf WHERE position = 77")
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert "leaf 77" in report.first


def test_two_leaves_that_changed_places_are_named(sealed: Sealed) -> None:
    sealed.harm(
        "UPDATE ledger_leaf SET position = -1 WHERE position = 77",
        "UPDATE ledger_leaf SET position = 77 WHERE position = 78",
        "UPDATE ledger_leaf SET position = 78 WHERE position = -1",
    )
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert report.first == f"leaves 77 and 78 of {LOG.origin} changed places"


def test_events_that_changed_places_are_both_named(sealed: Sealed) -> None:
    one, other = event_at(sealed, 77), event_at(sealed, 78)
    sealed.harm(
        "UPDATE ledger_leaf SET event_id = gen_random_uuid() WHERE position = 77",
        f"UPDATE ledger_leaf SET event_id = '{one}' WHERE position = 78",
        f"UPDATE ledger_leaf SET event_id = '{other}' WHERE position = 77",
    )
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert [text[:8] for text in report.integrity[:2]] == ["leaf 77,", "leaf 78,"]


def test_an_event_that_was_put_in_without_waiting_is_found(sealed: Sealed) -> None:
    sealed.harm(
        "INSERT INTO ledger_event SELECT (jsonb_populate_record(e, jsonb_build_object("
        "'id', gen_random_uuid(), 'wseq', NULL, 'boot', NULL))).* FROM ledger_event e LIMIT 1"
    )
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert "not sealed and does not wait" in report.first


def test_a_position_is_given_once(sealed: Sealed) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        sealed.harm(
            "INSERT INTO ledger_leaf SELECT tree, position, gen_random_uuid(), leaf_hash, sealed_at"
            " FROM ledger_leaf WHERE position = 5"
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_event SET actor_id = 'somebody else' WHERE id = {at}",
        "UPDATE ledger_event SET act = 'auth.login' WHERE id = {at}",
        "UPDATE ledger_event SET object_label = 'other' WHERE id = {at}",
        "UPDATE ledger_event SET at = at + interval '1 hour' WHERE id = {at}",
        "UPDATE ledger_event SET request_id = '' WHERE id = {at}",
        "UPDATE ledger_event SET leaf_hash = sha256('x') WHERE id = {at}",
        "UPDATE ledger_personal SET ip = '10.9.9.9' WHERE event_id = {at}",
        'UPDATE ledger_personal SET "values" = jsonb_set("values", \'{{actor.name}}\','
        " '\"Mallory\"') WHERE event_id = {at}",
        'UPDATE ledger_personal SET "values" = "values" - \'actor.name\' WHERE event_id = {at}',
        "UPDATE ledger_personal SET key = sha256('x') WHERE event_id = {at}",
        "DELETE FROM ledger_personal WHERE event_id = {at}",
    ],
)
def test_what_events_are_found_and_shown_by_is_checked_too(sealed: Sealed, statement: str) -> None:
    sealed.harm(statement.format(at=AT.format(76)))
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert "leaf 76" in report.first


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("ALTER TABLE ledger_event DISABLE TRIGGER ledger_event_append_only", "disabled"),
        ("DROP TRIGGER ledger_leaf_append_only ON ledger_leaf", "missing"),
        ("ALTER TABLE ledger_event DISABLE TRIGGER ledger_event_await_seal", "disabled"),
        (
            "CREATE OR REPLACE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RETURN NEW; END $$",
            "changed",
        ),
        ("GRANT DELETE ON ledger_event TO fusebox_web", "fusebox_web may DELETE"),
        ("GRANT INSERT ON ledger_checkpoint TO fusebox_web", "fusebox_web may INSERT"),
    ],
)
def test_a_guard_that_was_taken_away_is_found(sealed: Sealed, statement: str, word: str) -> None:
    with psycopg.connect(sealed.superuser) as connection:
        connection.execute(statement)
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert word in report.first


def test_a_checkpoint_of_another_key_is_false(sealed: Sealed) -> None:
    stranger = Signer("fusebox.test/audit", Ed25519PrivateKey.generate())
    note = Checkpoint("fusebox.test/audit/1", EVENTS, b"\x00" * 32).sign(stranger)
    sealed.harm("UPDATE ledger_checkpoint SET note = %s", values=(note,))
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert "no trusted key signed" in report.first


def test_a_key_that_nobody_named_is_not_trusted(sealed: Sealed) -> None:
    stranger = Signer("fusebox.test/audit", Ed25519PrivateKey.generate()).public
    with psycopg.connect(sealed.superuser) as connection:
        connection.execute(
            "INSERT INTO ledger_signingkey (vkey, tree, endorsement) VALUES (%s, 1, '')",
            [stranger.vkey],
        )
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert "chain of signing keys" in report.first


def test_a_wrong_checkpoint_row_is_found(sealed: Sealed) -> None:
    sealed.harm("UPDATE ledger_checkpoint SET root = sha256('x')")
    assert "not what was signed" in sealed.verify().first


def test_a_wrong_subtree_is_found(sealed: Sealed) -> None:
    sealed.harm("UPDATE ledger_subtree SET root = sha256('x') WHERE index = 1")
    assert "subtree 8/1" in sealed.verify().first


def test_an_event_deleted_before_it_was_sealed_leaves_its_number(sealed: Sealed) -> None:
    sealed.happen(3)
    gone = "(SELECT id FROM ledger_event WHERE wseq = 1 ORDER BY id DESC LIMIT 1)"
    sealed.harm(
        f"DELETE FROM ledger_pending WHERE event_id IN {gone}",
        f"DELETE FROM ledger_personal WHERE event_id IN {gone}",
        f"DELETE FROM ledger_event WHERE id IN {gone}",
    )
    sealed.seal()
    report = sealed.verify()
    assert report.exit_code == INCOMPLETE
    assert report.first.startswith("event 1 of the process")


def test_an_event_that_waits_and_is_gone_is_an_event_itself(sealed: Sealed) -> None:
    sealed.happen(3)
    gone = "(SELECT id FROM ledger_event WHERE wseq = 1 ORDER BY id DESC LIMIT 1)"
    sealed.harm(
        f"DELETE FROM ledger_personal WHERE event_id IN {gone}",
        f"DELETE FROM ledger_event WHERE id IN {gone}",
    )
    sealed.seal()
    assert sealed.ask("SELECT count(*) FROM ledger_event WHERE act = 'audit.gap'") == [(1,)]
    assert sealed.verify().exit_code == INCOMPLETE


def test_without_a_certificate_nothing_is_confirmed(sealed_template: Sealed) -> None:
    from audit.ledger.check import Verification

    report = Verification(sealed_template.web, None).run()
    assert report.exit_code == CANNOT
    assert "no certificate" in report.first


def test_a_head_of_no_such_tree_says_what_is_missing(sealed_template: Sealed) -> None:
    signer = sealed_template.custody.signer("fusebox.test/audit")
    later = Checkpoint("fusebox.test/audit/2", 5, b"\x01" * 32).sign(signer)
    report = sealed_template.verify(outside=[later])
    assert report.exit_code == INCOMPLETE


def test_a_root_is_32_bytes_of_base64(sealed_template: Sealed) -> None:
    [[note]] = sealed_template.ask("SELECT note FROM ledger_checkpoint LIMIT 1")
    assert len(base64.b64decode(str(note).split("\n")[2])) == 32


def test_a_process_that_goes_on_is_no_gap_for_a_verification_since_the_last(
    sealed: Sealed, django_db_blocker: Any, settings: Settings
) -> None:
    """Its first events were verified before; one that is missing since is still found."""
    settings.FUSEBOX_LOG_ORIGIN = LOG.origin
    beat = Actor.system("tests")
    with signed_in(sealed, django_db_blocker):
        for _number in range(200):
            log.record_alone(beat, Act.AUDIT_SEARCH)
        sealed.seal()
        [[since]] = sealed.ask("SELECT max(size) FROM ledger_checkpoint")
        later = [log.record_alone(beat, Act.AUDIT_SEARCH).id for _ in range(3)]
    sealed.seal()
    report = sealed.verify(since=since)
    assert report.exit_code == FINE, report.first
    assert report.events == (EVENTS + 203) % 256
    sealed.harm("UPDATE ledger_subtree SET root = sha256(root) WHERE index = 1")
    assert sealed.verify(since=since).exit_code == TAMPERED
    sealed.harm(f"DELETE FROM ledger_personal WHERE event_id = '{later[1]}'",
                f"DELETE FROM ledger_event WHERE id = '{later[1]}'")  # fmt: skip
    assert sealed.verify(since=since).completeness
