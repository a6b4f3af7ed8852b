"""The database's guards: whoever weakens one, takes one away or sets another beside is named."""

from __future__ import annotations

import os

import psycopg
import pytest
from psycopg import sql

from audit.ledger import catalogue, guards
from audit.ledger.report import TAMPERED
from tests.audit.conftest import Guarded
from tests.audit.sealed.conftest import Sealed

RENEW = "RENEW_GUARDS=1 python -m pytest tests/audit/sealed/test_guards.py -k migrations_make"
UNLESS = "EXECUTE FUNCTION ledger_refuse_unless_removed()"
EVENT = "the trigger ledger_event.ledger_event_append_only"
LEAF = "the trigger ledger_leaf.ledger_leaf_append_only"
SWALLOW = (
    "CREATE FUNCTION zz() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
    "CREATE TRIGGER zz BEFORE INSERT ON "
)


def again(how: str, *, name: str = "event", table: str = "ledger_event") -> str:
    """Statements that make the guard of a table once more."""
    return (
        f"DROP TRIGGER ledger_{name}_append_only ON ledger_{name};"
        f"CREATE TRIGGER ledger_{name}_append_only {how};"
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER ledger_{name}_append_only"
    )


def replaced(function: str, body: str, language: str = "plpgsql", more: str = "") -> str:
    return f"CREATE OR REPLACE FUNCTION {function} LANGUAGE {language} {more} AS $$ {body} $$"


REFUSE = "ledger_refuse_change() RETURNS trigger"
ERASE = (
    "ledger_erase(erasure uuid, events uuid[], keys bytea[], remaining jsonb[], rests text[])"
    " RETURNS bigint"
)
WEAKER = {
    f"{EVENT} was changed: always, type 27, public.ledger_refuse_unless_removed, with a c": again(
        f"BEFORE UPDATE OR DELETE ON ledger_event FOR EACH ROW WHEN (false) {UNLESS}"
    ),
    f"{EVENT} was changed: always, type 19, public.ledger_refuse_unless_removed, of some": again(
        f"BEFORE UPDATE OF id ON ledger_event FOR EACH ROW {UNLESS}"
    ),
    f"{EVENT} was changed: always, type 26": again(
        f"BEFORE UPDATE OR DELETE ON ledger_event FOR EACH STATEMENT {UNLESS}"
    ),
    f"{LEAF} is missing": "CREATE TABLE ledger_zz (id int);"
    + again(
        "BEFORE UPDATE OR DELETE ON ledger_zz FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change()",
        name="leaf",
        table="ledger_zz",
    ),
    f"{EVENT} was changed: disabled": (
        "ALTER TABLE ledger_event DISABLE TRIGGER ledger_event_append_only"
    ),
    f"{EVENT} was changed: not always": (
        "ALTER TABLE ledger_event ENABLE TRIGGER ledger_event_append_only"
    ),
    "the trigger ledger_keychange.office_key_change_guard is missing": (
        "DROP TRIGGER office_key_change_guard ON ledger_keychange"
    ),
    "the trigger ledger_keychange.office_key_change_guard was changed: disabled": (
        "ALTER TABLE ledger_keychange DISABLE TRIGGER office_key_change_guard"
    ),
    "the trigger office_hold.office_hold_guard is missing": (
        "DROP TRIGGER office_hold_guard ON office_hold"
    ),
    "the trigger office_retentionpolicy.office_policy_guard is missing": (
        "DROP TRIGGER office_policy_guard ON office_retentionpolicy"
    ),
    "the trigger access_proposal.access_proposal_guard is missing": (
        "DROP TRIGGER access_proposal_guard ON access_proposal"
    ),
    "the trigger ledger_event.zz was added": SWALLOW
    + "ledger_event FOR EACH ROW WHEN (NEW.act = 'node.register') EXECUTE FUNCTION zz()",
    "the trigger ledger_checkpoint.zz was added": SWALLOW
    + "ledger_checkpoint FOR EACH ROW EXECUTE FUNCTION zz()",
    "the rule ledger_event.zz was added": (
        "CREATE RULE zz AS ON INSERT TO ledger_event WHERE NEW.wseq IS NULL DO INSTEAD NOTHING"
    ),
    "the function ledger_refuse_change() was changed": replaced(
        REFUSE,
        "BEGIN -- the audit log is append-only: % on % is refused\n RETURN coalesce(NEW, OLD); END",
    ),
    "the function ledger_refuse_change() was": replaced(
        REFUSE, "BEGIN -- the audit log is append-only\n return old; END"
    ),
    "the function ledger_await_seal() was changed": replaced(
        "ledger_await_seal() RETURNS trigger",
        "BEGIN INSERT INTO public.ledger_pending (event_id) SELECT id FROM arrived"
        " WHERE id::text > 'f'; RETURN NULL; END",
        more="SECURITY DEFINER",
    ),
    "the function ledger_is_removed(gone uuid) was changed": replaced(
        "ledger_is_removed(gone uuid) RETURNS boolean", "SELECT true", "sql", "STABLE"
    ),
    "the function ledger_erase(": replaced(
        ERASE, "BEGIN UPDATE public.ledger_personal SET ip = ''; RETURN 1; END"
    ),
    "the function ledger_file(most integer) was changed": replaced(
        "ledger_file(most integer) RETURNS integer", "BEGIN RETURN 0; END"
    ),
    "the function office_floor(act text) was changed": replaced(
        "office_floor(act text) RETURNS integer", "SELECT 0", "sql", "IMMUTABLE"
    ),
    "the function office_holds(e ledger_event) was changed": (
        "ALTER FUNCTION office_holds(ledger_event) RESET search_path"
    ),
    "the function ledger_erase(erasure uuid": (
        "ALTER FUNCTION ledger_erase(uuid, uuid[], bytea[], jsonb[], text[]) SECURITY INVOKER"
    ),
    "the function ledger_text(value character varying, most integer) was added": replaced(
        "ledger_text(value varchar, most integer) RETURNS text", "SELECT ''", "sql"
    ),
    "the view office_prunable was changed": (
        "CREATE OR REPLACE VIEW office_prunable AS SELECT l.tree, l.position, l.event_id,"
        " 0 AS bytes, NULL::uuid AS boot, NULL::bigint AS wseq, false AS held FROM ledger_leaf l"
    ),
    "fusebox_web may UPDATE (outcome) ledger_event": (
        "GRANT UPDATE (outcome) ON ledger_event TO fusebox_web"
    ),
    "fusebox_web may DELETE ledger_pending": (
        "GRANT DELETE, INSERT ON ledger_pending TO fusebox_web"
    ),
    "fusebox_web may UPDATE ledger_sealer": ("GRANT UPDATE ON ledger_sealer TO fusebox_web"),
    "fusebox_sealer may INSERT ledger_acknowledgement": (
        "GRANT INSERT ON ledger_acknowledgement TO fusebox_sealer"
    ),
    "fusebox_sealer may INSERT ledger_keychange": (
        "GRANT INSERT ON ledger_keychange TO fusebox_sealer"
    ),
    "fusebox_sealer may EXECUTE ledger_erase(": (
        "GRANT EXECUTE ON FUNCTION ledger_erase(uuid, uuid[], bytea[], jsonb[], text[])"
        " TO fusebox_sealer"
    ),
    "PUBLIC may TRUNCATE ledger_event": "GRANT TRUNCATE ON ledger_event TO PUBLIC",
    "zz may DELETE ledger_event": "CREATE ROLE zz; GRANT DELETE ON ledger_event TO zz",
    "the membership of fusebox_web in fusebox_owner was": "GRANT fusebox_owner TO fusebox_web",
    "fusebox_web may TRUNCATE ledger_mention": ("ALTER TABLE ledger_mention OWNER TO fusebox_web"),
    "the table ledger_event was changed: ordinary, permanent, rows hidden": (
        "ALTER TABLE ledger_event ENABLE ROW LEVEL SECURITY"
    ),
    "the policy ledger_event.p was added": (
        "CREATE POLICY p ON ledger_event FOR SELECT USING (act <> 'authz.denied')"
    ),
    "the table ledger_event was changed: view": (
        "ALTER TABLE ledger_event RENAME TO ledger_zz;"
        "CREATE VIEW ledger_event AS SELECT * FROM ledger_zz WHERE act <> 'authz.denied'"
    ),
    "the inheritance of zz from ledger_mention was added": (
        "CREATE TABLE zz () INHERITS (ledger_mention)"
    ),
    "the table ledger_mention was changed: ordinary, not permanent": (
        "ALTER TABLE ledger_mention SET UNLOGGED"
    ),
    "the table ledger_mention is missing": (
        "CREATE SCHEMA evil; ALTER TABLE ledger_mention SET SCHEMA evil"
    ),
    "the table evil.ledger_event was added": (
        "CREATE SCHEMA evil; CREATE TABLE evil.ledger_event AS SELECT * FROM ledger_event"
    ),
    "the setting search_path of fusebox_web was added": (
        "ALTER ROLE fusebox_web SET search_path = evil, public"
    ),
    "the setting session_replication_role of everybody was added": (
        "ALTER DATABASE fusebox_guarded SET session_replication_role = replica"
    ),
    "the key of ledger_event (id) is missing": (
        "ALTER TABLE ledger_event DROP CONSTRAINT ledger_event_pkey CASCADE"
    ),
    "the key of ledger_event (boot, wseq) is missing": "DROP INDEX event_numbered_once",
    "the key of ledger_event (act) was added": "CREATE UNIQUE INDEX zz ON ledger_event (act)",
    "the column ledger_leaf.event_id was changed: uuid": (
        "ALTER TABLE ledger_leaf ALTER event_id DROP NOT NULL"
    ),
    "the column ledger_event.created_at was changed": (
        "ALTER TABLE ledger_event ALTER created_at SET DEFAULT 'infinity'"
    ),
    "fusebox_web may no more INSERT ledger_event": "REVOKE INSERT ON ledger_event FROM fusebox_web",
    "the constraint ledger_event.event_number_has_boot is missing": (
        "ALTER TABLE ledger_event DROP CONSTRAINT event_number_has_boot"
    ),
}


@pytest.mark.parametrize("sentence", WEAKER)
def test_what_is_weaker_than_it_was_installed_is_named(guarded: Guarded, sentence: str) -> None:
    with psycopg.connect(guarded.superuser) as connection:
        assert guards.missing(connection) == []
        connection.execute(WEAKER[sentence])
        found = guards.missing(connection)
        connection.rollback()
    assert any(line.startswith(sentence) for line in found), found


def test_the_verdict_is_tampered_and_says_what(sealed: Sealed) -> None:
    assert sealed.verify().exit_code == 0
    with psycopg.connect(sealed.superuser) as connection:
        connection.execute("GRANT UPDATE (outcome) ON ledger_event TO fusebox_web")
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert "fusebox_web may UPDATE (outcome) ledger_event" in report.first


def test_the_list_is_what_the_migrations_make(guarded: Guarded) -> None:
    with psycopg.connect(guarded.web) as connection:
        text = guards.listed(catalogue.read(connection, catalogue.tables(connection)))
    if os.environ.get("RENEW_GUARDS"):
        guards.LIST.write_text(text, encoding="utf-8")
        guards.installed.cache_clear()
    assert guards.LIST.read_text(encoding="utf-8") == text, f"renew the list: {RENEW}"


def test_other_roles_of_the_server_may_read_and_do_what_ours_may(guarded: Guarded) -> None:
    """A web's role of another name, a role for backups."""
    with psycopg.connect(guarded.superuser) as connection:
        connection.execute("CREATE ROLE zz")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO zz")
        connection.execute("GRANT INSERT ON ledger_event TO zz")
        assert guards.missing(connection) == []
        connection.rollback()


def test_a_server_without_our_roles_has_no_rights_to_compare(guarded: Guarded) -> None:
    """One role owns everything: what it may is not a guard."""
    with psycopg.connect(guarded.superuser) as connection:
        for role in catalogue.ROLES:
            connection.execute(
                sql.SQL("ALTER ROLE {} RENAME TO {}").format(
                    sql.Identifier(role), sql.Identifier(f"app_{role}")
                )
            )
        assert guards.missing(connection) == []
        connection.rollback()
