"""Erasures of a sealed log: lawful ones verify, anything more is found."""

from __future__ import annotations

import psycopg
import pytest

from audit.ledger.report import FINE, TAMPERED
from tests.audit.sealed.conftest import EVENTS, Sealed

ERASE = """
from uuid import UUID
from django.db import transaction
from audit.ledger import erasing, log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
ids = erasing.touching("id-3", ["Person 3"], UUID(int=(1 << 128) - 1))
for batch in erasing.batches(ids, "id-3", ["Person 3"], 50):
    with transaction.atomic():
        event = log.record(Actor.system("tests"), Act.USER_ERASED, details=batch.details)
        erasing.apply(event.id, batch)
"""
THEIRS = EVENTS // 7 + 2  # at most
KEPT = "SELECT event_id FROM ledger_personal WHERE \"values\" <> '{}' LIMIT 1"


@pytest.fixture
def erased(sealed: Sealed) -> Sealed:
    done = sealed.manage("shell", "--no-imports", "-c", ERASE)
    assert done.returncode == 0, done.stderr
    sealed.seal()
    return sealed


def test_after_a_lawful_erasure_the_log_verifies_and_says_how_many(erased: Sealed) -> None:
    report = erased.verify(own_head=True)
    assert report.lines()[-1] == "exit code      0", report.lines()
    [[count]] = erased.ask("SELECT count(*) FROM ledger_erased")
    assert 0 < count <= THEIRS
    assert any(f"in {count} places were lawfully erased" in note for note in report.notes)
    found = erased.ask(
        "SELECT count(*) FROM ledger_personal WHERE \"values\"::text LIKE '%Person 3%'"
        " OR ip = '10.0.0.3'"
    )
    assert found == [(0,)]


@pytest.mark.parametrize(
    "harm",
    [
        f"UPDATE ledger_personal SET \"values\" = '{{}}', ip = '' WHERE event_id = ({KEPT})",
        f"DELETE FROM ledger_personal WHERE event_id = ({KEPT})",
        "DELETE FROM ledger_personal WHERE event_id = (SELECT event_id FROM ledger_erased LIMIT 1)",
        "UPDATE ledger_personal SET ip = '10.1.1.1' WHERE event_id ="
        " (SELECT event_id FROM ledger_erased LIMIT 1)",
        "DELETE FROM ledger_erased WHERE id = (SELECT min(id) FROM ledger_erased)",
        "INSERT INTO ledger_erased (event_id, erasure_id, rest)"
        f" SELECT ({KEPT}), erasure_id, '' FROM ledger_erased LIMIT 1",
        "INSERT INTO ledger_erased (event_id, erasure_id, rest)"
        f" SELECT ({KEPT}), gen_random_uuid(), ''",
        "INSERT INTO ledger_erased (event_id, erasure_id, rest) SELECT max(e.event_id::text)::uuid,"
        " min(e.erasure_id::text)::uuid, '' FROM (SELECT id AS event_id,"
        " (SELECT min(erasure_id::text)::uuid FROM ledger_erased) AS erasure_id"
        " FROM ledger_event) e",
        "UPDATE ledger_erased SET rest = 'x' WHERE id = (SELECT min(id) FROM ledger_erased)",
    ],
)
def test_whatever_goes_beyond_what_was_recorded_is_found(erased: Sealed, harm: str) -> None:
    erased.harm(harm)
    assert erased.verify().exit_code == TAMPERED


def test_an_erasure_whose_own_event_is_gone_excuses_nothing(erased: Sealed) -> None:
    """Unless retention took it, which says so; then the values that it took away may be gone."""
    gone = "(SELECT id FROM ledger_event WHERE act = 'user.erased')"
    erased.harm(
        f"DELETE FROM ledger_personal WHERE event_id IN {gone}",
        f"DELETE FROM ledger_event WHERE id IN {gone}",
    )
    report = erased.verify()
    assert report.exit_code == TAMPERED
    assert any("is missing" in text for text in report.completeness)


def test_the_web_erases_only_what_an_event_says(erased: Sealed) -> None:
    [[event]] = erased.ask(KEPT)
    [[sealed_erasure]] = erased.ask("SELECT id FROM ledger_event WHERE act = 'user.erased' LIMIT 1")
    call = (
        "SELECT ledger_erase(%s, ARRAY[%s]::uuid[], ARRAY[''::bytea], ARRAY['{}'::jsonb], '{\"\"}')"
    )
    statements = [
        (call, [sealed_erasure, event]),
        (call, [event, event]),
        ('UPDATE ledger_personal SET "values" = \'{}\' WHERE event_id = %s', [event]),
        ("INSERT INTO ledger_erased (event_id, erasure_id, rest) VALUES (%s, %s, '')",
         [event, event]),
        ("DELETE FROM ledger_erased", []),
    ]  # fmt: skip
    for statement, values in statements:
        with (
            psycopg.connect(erased.web) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement, values)
    assert erased.verify().exit_code == FINE


def test_a_changed_guard_is_found(erased: Sealed) -> None:
    with psycopg.connect(erased.superuser) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION ledger_only_erase() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RETURN NEW; END $$"
        )
    report = erased.verify()
    assert any("the function ledger_only_erase() was changed" in text for text in report.integrity)
