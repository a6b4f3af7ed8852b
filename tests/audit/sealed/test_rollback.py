"""A database that knows less than the sealer has signed: nothing is signed until two administrators
have said, in events, that they have seen it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import psycopg
import pytest

from audit.ledger import sealer
from audit.ledger.certificate import read_certificate
from audit.ledger.check import Verification
from audit.ledger.report import FINE, INCOMPLETE
from tests.audit.conftest import manage
from tests.audit.sealed.conftest import EVENTS, LOG, Sealed, sign_at, who
from tests.audit.sealed.test_bundle import export
from tests.audit.sealed.test_intake import event, take_in
from tests.audit.sealed.test_sealer import count, leader, process, until


def restore_what_was(sealed: Sealed, kept: int = 300) -> None:
    """As if an older backup had been restored: the newest leaves and events are not there."""
    sign_at(sealed, kept)
    sealed.harm(
        f"DELETE FROM ledger_personal WHERE event_id IN (SELECT event_id FROM ledger_leaf"
        f" WHERE position >= {kept})",
        f"DELETE FROM ledger_event WHERE id IN (SELECT event_id FROM ledger_leaf"
        f" WHERE position >= {kept})",
        f"DELETE FROM ledger_leaf WHERE position >= {kept}",
        f"DELETE FROM ledger_checkpoint WHERE size > {kept}",
        f"DELETE FROM ledger_subtree WHERE (index + 1) * 256 > {kept}",
    )


ACKNOWLEDGE = """
from access import actions, policy
from audit.ledger.actor import Actor
from audit.ledger.models import Sealer
from audit.office.actions import acknowledge_rollback
person, _password = actions.create_user(
    actor=Actor.system("tests"), username="{}", role="audit")
acknowledge_rollback(actor=policy.actor_for(person), incident=Sealer.objects.get().incident,
                     reason="restored")
"""


def acknowledge(sealed: Sealed, name: str) -> None:
    """As one more administrator."""
    manage(sealed.web, "shell", "--no-imports", "-c", ACKNOWLEDGE.format(name))


def begin_second_tree(sealed: Sealed) -> None:
    """Two people have seen what was restored; the sealer goes on with a second tree."""
    with process(sealed):
        until("SELECT state = 'rollback' FROM ledger_sealer", sealed)
        acknowledge(sealed, "first")
        acknowledge(sealed, "second")
        until("SELECT count(*) = 2 FROM ledger_tree", sealed)
        until("SELECT count(*) = 0 FROM ledger_pending", sealed)
    sealed.seal()


FORGED = (
    "INSERT INTO ledger_acknowledgement (incident, person_id, reason)"
    " SELECT incident, gen_random_uuid(), 'restored' FROM ledger_sealer"
)


def test_an_acknowledgement_that_no_event_says_is_refused(house: Sealed) -> None:
    restore_what_was(house)
    house.seal()
    person = f"(SELECT id FROM access_user WHERE username = '{who('audit').name}')"
    for statement in (FORGED, FORGED.replace("gen_random_uuid()", person)):
        for role in (house.web, house.superuser):
            with (
                psycopg.connect(role) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege, match="in an event"),
            ):
                connection.execute(statement)
                connection.commit()


def test_acknowledgements_that_no_event_says_begin_no_tree(sealed: Sealed) -> None:
    """Whatever became of the guard in the database."""
    restore_what_was(sealed)
    sealed.seal()
    sealed.harm(FORGED, FORGED)
    with leader(sealed) as waiting:
        waiting._wait_for_people()
        assert waiting.incident
    assert count(sealed, "tree") == 1


def test_after_an_old_backup_nothing_is_signed(sealed: Sealed) -> None:
    restore_what_was(sealed)
    sealed.happen()
    assert sealer.seal_once(sealed.sealer, sealed.custody, LOG) is None
    [[state, problem]] = sealed.ask("SELECT state, problem FROM ledger_sealer")
    assert state == "rollback"
    assert f"signed {EVENTS} events" in problem
    assert count(sealed, "pending") == 2
    assert sealed.verify(own_head=True).exit_code == INCOMPLETE


def test_after_two_people_acknowledged_a_new_tree_begins(sealed: Sealed) -> None:
    restore_what_was(sealed)
    sealed.happen()
    with process(sealed):
        until("SELECT state = 'rollback' FROM ledger_sealer", sealed)
        acknowledge(sealed, "first")
        time.sleep(2.5)
        assert count(sealed, "tree") == 1
        acknowledge(sealed, "second")
        until("SELECT count(*) = 0 FROM ledger_pending", sealed)
    sealed.seal()
    [[first]] = sealed.ask(
        "SELECT convert_from(e.leaf, 'UTF8')::jsonb FROM ledger_leaf l JOIN ledger_event e"
        " ON e.id = l.event_id WHERE l.tree = 2 AND l.position = 0"
    )
    assert first["act"] == "audit.new_tree"
    assert (first["details"]["signed_size"], first["details"]["found_size"]) == (EVENTS, 300)
    assert len(first["details"]["acknowledged_by"]) == 2
    report = sealed.verify(own_head=True)
    assert report.origin == "fusebox.test/audit/2"
    assert report.first == ""
    assert "the leaves 300 to 599 of fusebox.test/audit/1 were given up, as acknowledged" in (
        report.notes
    )


def test_a_copy_from_before_a_change_of_the_key_learns_the_key_again(
    sealed: Sealed, tmp_path: Path
) -> None:
    """The key stays the certificate's; the one that the old copy knows names it once more."""
    before = tmp_path / "before.txt"
    shutil.copyfile(sealed.custody.certificate, before)
    sealed.change_key()
    restore_what_was(sealed)
    sealed.harm(
        "DELETE FROM ledger_signingkey WHERE change_id IS NOT NULL", "DELETE FROM ledger_keychange"
    )
    begin_second_tree(sealed)
    made = export(sealed, tmp_path / "made")
    for certificate in (sealed.custody.certificate, before):
        made.certificate = certificate
        code, said = made.check()
        assert code == FINE, said
        report = Verification(sealed.web, read_certificate(certificate)).run()
        assert report.exit_code == FINE, report.lines()


def test_while_people_are_waited_for_what_happens_can_be_found(sealed: Sealed) -> None:
    restore_what_was(sealed)
    take_in(sealed.web, [event(0)])
    with process(sealed):
        until("SELECT count(*) = 1 FROM ledger_event WHERE actor_id = 'robot'", sealed)
        assert count(sealed, "pending") == 1


def test_a_lost_record_stops_the_sealer_too(sealed: Sealed) -> None:
    sealed.custody.head_file.unlink()
    assert sealer.seal_once(sealed.sealer, sealed.custody, LOG) is None
    assert sealed.ask("SELECT state FROM ledger_sealer") == [("rollback",)]
