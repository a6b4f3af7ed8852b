"""What is in the log stays as it is: the web's role cannot change it, and triggers stop others."""

from __future__ import annotations

import psycopg
import pytest

from tests.audit.conftest import Guarded

TABLES = ("event", "personal", "mention")
CHANGES = {
    "UPDATE": {
        "event": "UPDATE ledger_event SET outcome = 'failure'",
        "personal": "UPDATE ledger_personal SET ip = ''",
        "mention": "UPDATE ledger_mention SET object_id = ''",
    },
    "DELETE": {table: f"DELETE FROM ledger_{table}" for table in TABLES},
    "TRUNCATE": {table: f"TRUNCATE ledger_{table} CASCADE" for table in TABLES},
}


def counts(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        found = [
            connection.execute(f"SELECT count(*) FROM ledger_{table}").fetchone()
            for table in TABLES
        ]
    return [row[0] for row in found if row]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("role", ["web", "owner", "superuser"])
def test_nobody_changes_the_log(guarded: Guarded, role: str, change: str, table: str) -> None:
    before = counts(guarded.web)
    with (
        psycopg.connect(getattr(guarded, role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege) as refused,
    ):
        connection.execute(CHANGES[change][table])
    wanted = "permission denied" if role == "web" else "append-only"
    assert wanted in str(refused.value)
    assert counts(guarded.web) == before == [1, 1, 1]


@pytest.mark.parametrize("table", TABLES)
def test_the_guards_stand_where_triggers_are_off(guarded: Guarded, table: str) -> None:
    with psycopg.connect(guarded.superuser) as connection:
        connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(f"DELETE FROM ledger_{table}")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE ledger_event DISABLE TRIGGER ALL",
        "DROP TRIGGER ledger_event_append_only ON ledger_event",
        "CREATE OR REPLACE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN NEW; END $$",
        "SET session_replication_role = replica",
        "SET ROLE fusebox_owner",
        "DROP TABLE ledger_personal",
    ],
)
def test_the_web_cannot_take_the_guards_away(guarded: Guarded, statement: str) -> None:
    with (
        psycopg.connect(guarded.web) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_an_event_is_stored_once(guarded: Guarded) -> None:
    with (
        psycopg.connect(guarded.web) as connection,
        pytest.raises(psycopg.errors.UniqueViolation),
    ):
        connection.execute("INSERT INTO ledger_event SELECT * FROM ledger_event")


@pytest.mark.parametrize("column", ["leaf", "leaf_hash", "at", "act", "outcome", "actor_id"])
def test_what_makes_an_event_cannot_be_missing(guarded: Guarded, column: str) -> None:
    with (
        psycopg.connect(guarded.web) as connection,
        pytest.raises(psycopg.errors.NotNullViolation),
    ):
        connection.execute(
            "INSERT INTO ledger_event SELECT (jsonb_populate_record(e, jsonb_build_object"
            f"('id', gen_random_uuid(), '{column}', NULL))).* FROM ledger_event e"
        )
