"""Whether the database still guards the log: triggers in force, roles without rights they should
not have. A guard that somebody took away is found at the next verification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
TABLES = (
    "event", "personal", "mention", "leaf", "subtree", "checkpoint", "tree", "signingkey",
    "acknowledgement", "erased", "removedspan", "removednumbers", "keychange", "intake",
)  # fmt: skip
REFUSE = "the audit log is append-only"
# Personal values may disappear where an erasure names their event, or go with their event: this
# much and no more.
ONLY_ERASE = """
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.event_id = OLD.event_id AND OLD."values" @> NEW."values" AND NEW.ip IN ('', OLD.ip)
            AND EXISTS (SELECT FROM public.ledger_erased WHERE event_id = OLD.event_id)
        THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF public.ledger_is_removed(OLD.event_id) THEN RETURN OLD; END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END """
# What an event's rows wait for before they may go: a span that names the event which says so.
UNLESS_REMOVED = """
DECLARE
    gone uuid;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF TG_TABLE_NAME = 'ledger_event' THEN gone := OLD.id; ELSE gone := OLD.event_id; END IF;
        IF public.ledger_is_removed(gone) THEN RETURN OLD; END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END """
# A row of the intake goes when its event is filed.
ONLY_FILED = """
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM public.ledger_event WHERE id = OLD.event_id)
            OR EXISTS (SELECT FROM public.ledger_event WHERE boot = OLD.boot AND wseq = OLD.wseq)
        THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END """
EXACT = {
    "ledger_intake_append_only": ONLY_FILED,
    "ledger_personal_append_only": ONLY_ERASE,
    "ledger_event_append_only": UNLESS_REMOVED,
    "ledger_mention_append_only": UNLESS_REMOVED,
}
AWAIT = "INSERT INTO public.ledger_pending (event_id) SELECT id FROM arrived"
TRIGGERS = """
SELECT t.tgname, t.tgenabled, p.proname, p.prosrc FROM pg_trigger t
JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND t.tgrelid::regclass::text
    LIKE 'ledger\\_%'
"""
RIGHTS = """
SELECT c.relname, r.rolname, priv FROM pg_class c
CROSS JOIN (SELECT rolname FROM pg_roles WHERE rolname = ANY('{fusebox_web,fusebox_sealer}')) r
CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'INSERT']) AS priv
WHERE c.relname = ANY(%s) AND has_table_privilege(r.rolname, c.oid, priv)
"""
SEALED = (
    "leaf", "subtree", "checkpoint", "tree", "signingkey", "erased", "removedspan",
    "removednumbers",
)  # fmt: skip
UNCHANGEABLE = ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER")


def missing(connection: Connection, *, truncate: bool = True) -> list[str]:
    """What is not as it was installed, a sentence each; empty when all stands.

    truncate: whether the guards against TRUNCATE are looked for, too.
    """
    return [*_triggers(connection, truncate=truncate), *_rights(connection)]


def _triggers(connection: Connection, *, truncate: bool) -> list[str]:
    found = {name: rest for name, *rest in connection.execute(TRIGGERS).fetchall()}
    wanted = {f"ledger_{table}_append_only": REFUSE for table in TABLES}
    wanted["ledger_event_await_seal"] = AWAIT
    if truncate:
        wanted |= {f"ledger_{table}_no_truncate": REFUSE for table in TABLES}
    problems = []
    for name, words in wanted.items():
        if name not in found:
            problems.append(f"the trigger {name} is missing")
            continue
        enabled, _function, source = found[name]
        if enabled not in ("A", b"A"):
            problems.append(f"the trigger {name} is disabled")
        elif not _refuses(name, words, source):
            problems.append(f"the function of the trigger {name} was changed")
    return problems


def _refuses(name: str, words: str, source: str) -> bool:
    if name in EXACT:
        return source == EXACT[name]
    return words in source and "RETURN NEW" not in source and "RETURN OLD" not in source


def _rights(connection: Connection) -> list[str]:
    names: Sequence[str] = [f"ledger_{table}" for table in TABLES]
    problems = []
    for table, role, right in connection.execute(RIGHTS, [list(names)]).fetchall():
        writes_sealed = right == "INSERT" and role == "fusebox_web" and table[7:] in SEALED
        if right in UNCHANGEABLE or writes_sealed:
            problems.append(f"{role} may {right} {table}")
    return problems
