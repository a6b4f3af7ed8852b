"""What the database's own catalogue says of the log: a name and a description for each table,
column, key, trigger, rule, function and right. `guards` compares it with what migrations make.

A query for each kind, whatever the size of the log. Names are looked up in `public`, and of
`pg_catalog` alone, so that nothing of the same name elsewhere can stand in for them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
Facts = dict[str, str]
ROLES = ("fusebox_web", "fusebox_sealer")
OF_THE_LOG = r"^(ledger_.*|office_(hold|retentionpolicy|content|prunable)|access_proposal)$"
"""The tables whose rows are the log, or decide what may happen to it."""
FUNCTIONS_OF = "^(ledger|office|access)_"

_OURS = """
c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public')
AND c.relname = ANY(%(tables)s)
"""
TABLES = f"""
SELECT 'the table ' || c.relname, pg_catalog.concat_ws(', ',
    CASE c.relkind WHEN 'r' THEN 'ordinary' WHEN 'v' THEN 'view'
        ELSE 'of the kind ' || c.relkind::text END,
    CASE c.relpersistence WHEN 'p' THEN 'permanent' ELSE 'not permanent' END,
    CASE WHEN c.relrowsecurity OR c.relforcerowsecurity THEN 'rows hidden' END,
    CASE WHEN c.relispartition THEN 'a partition' END)
FROM pg_catalog.pg_class c WHERE {_OURS}
"""  # noqa: S608  a constant
COLUMNS = f"""
SELECT 'the column ' || c.relname || '.' || a.attname, pg_catalog.concat_ws(', ',
    pg_catalog.format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attnotnull THEN 'not null' END,
    CASE WHEN a.attidentity <> '' THEN 'identity ' || a.attidentity::text END,
    CASE WHEN a.attgenerated <> '' THEN 'generated' END,
    'default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind <> 'v' AND {_OURS}
"""  # noqa: S608
KEYS = f"""
SELECT 'the key of ' || c.relname || ' (' || (
        SELECT pg_catalog.string_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, false), ', '
            ORDER BY k)
        FROM pg_catalog.generate_series(1, i.indnkeyatts::integer) AS k) || ')',
    pg_catalog.concat_ws(', ', CASE WHEN i.indisprimary THEN 'primary' ELSE 'unique' END,
        'where ' || pg_catalog.pg_get_expr(i.indpred, i.indrelid),
        CASE WHEN NOT (i.indisvalid AND i.indisready AND i.indislive) THEN 'not in force' END,
        CASE WHEN NOT i.indimmediate THEN 'deferred' END)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
WHERE i.indisunique AND {_OURS}
"""  # noqa: S608
CONSTRAINTS = f"""
SELECT 'the constraint ' || c.relname || '.' || o.conname,
    pg_catalog.pg_get_constraintdef(o.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_constraint o ON o.conrelid = c.oid
WHERE o.contype IN ('c', 'f', 'x') AND {_OURS}
"""  # noqa: S608
TRIGGERS = f"""
SELECT 'the trigger ' || c.relname || '.' || t.tgname, pg_catalog.concat_ws(', ',
    CASE t.tgenabled WHEN 'A' THEN 'always' WHEN 'D' THEN 'disabled' ELSE 'not always' END,
    'type ' || t.tgtype::text, n.nspname || '.' || p.proname,
    CASE WHEN t.tgqual IS NOT NULL THEN 'with a condition' END,
    CASE WHEN t.tgattr::text <> '' THEN 'of some columns' END,
    CASE WHEN t.tgnargs <> 0 THEN 'with arguments' END,
    CASE WHEN t.tgdeferrable THEN 'deferrable' END, CASE WHEN t.tginitdeferred THEN 'deferred' END,
    'old ' || t.tgoldtable, 'new ' || t.tgnewtable)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE (NOT t.tgisinternal OR t.tgenabled = 'D') AND {_OURS}
"""  # noqa: S608
RULES = f"""
SELECT CASE WHEN c.relkind = 'v' THEN 'the view ' || c.relname
        ELSE 'the rule ' || c.relname || '.' || r.rulename END,
    CASE WHEN c.relkind = 'v' THEN pg_catalog.pg_get_viewdef(c.oid) ELSE r.ev_enabled::text END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid WHERE {_OURS}
"""  # noqa: S608
POLICIES = f"""
SELECT 'the policy ' || c.relname || '.' || p.polname, p.polcmd::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid WHERE {_OURS}
"""  # noqa: S608
HEIRS = f"""
SELECT 'the inheritance of ' || h.inhrelid::regclass::text || ' from '
    || h.inhparent::regclass::text, ''
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_inherits h ON c.oid IN (h.inhrelid, h.inhparent)
WHERE {_OURS}
"""  # noqa: S608
ELSEWHERE = """
SELECT 'the table ' || n.nspname || '.' || c.relname, c.relkind::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY(%(tables)s) AND n.nspname <> 'public' AND n.nspname !~ '^pg_'
"""
FUNCTIONS = """
SELECT 'the function ' || CASE WHEN n.nspname <> 'public' THEN n.nspname || '.' ELSE '' END
        || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
    pg_catalog.concat_ws(E'\\x1f', p.prosrc, p.proconfig::text, p.prosecdef::text,
        p.provolatile::text, p.proisstrict::text, p.prokind::text, p.proretset::text, l.lanname,
        pg_catalog.format_type(p.prorettype, NULL), pg_catalog.pg_get_function_sqlbody(p.oid))
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE p.proname ~ %(functions)s AND n.nspname !~ '^pg_'
"""
# A column's right where the whole table's is not given; what another role may do as well as ours.
RIGHTS = f"""
SELECT 'the rights of ' || r.rolname || ' on ' || c.relname, pg_catalog.string_agg(
    v.what || coalesce(' (' || v.of || ')', ''), '; ' ORDER BY v.what)
FROM pg_catalog.pg_class c
CROSS JOIN (SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%(roles)s)) r
CROSS JOIN LATERAL (
    SELECT p.what, CASE WHEN NOT p.whole THEN (
        SELECT pg_catalog.string_agg(a.attname, ', ' ORDER BY a.attname)
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND pg_catalog.has_column_privilege(r.rolname, c.oid, a.attnum, p.what)) END AS of
    FROM (SELECT what, pg_catalog.has_table_privilege(r.rolname, c.oid, what) AS whole
          FROM pg_catalog.unnest('{{DELETE,INSERT,REFERENCES,SELECT,TRIGGER,TRUNCATE,UPDATE}}'
              ::text[]) AS what) p
    WHERE p.whole OR (p.what IN ('INSERT', 'REFERENCES', 'SELECT', 'UPDATE')
        AND pg_catalog.has_any_column_privilege(r.rolname, c.oid, p.what))) v
WHERE {_OURS} GROUP BY 1
"""  # noqa: S608
# Who may have the owner do something.
CALLS = """
SELECT 'the rights of ' || r.rolname || ' on ' || p.proname || '('
    || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', 'EXECUTE'
FROM pg_catalog.pg_proc p
CROSS JOIN (SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%(roles)s)) r
WHERE p.proname ~ %(functions)s AND p.prosecdef
    AND pg_catalog.has_function_privilege(r.rolname, p.oid, 'EXECUTE')
    AND p.pronamespace = (
        SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public')
"""
OTHERS = f"""
SELECT coalesce(g.rolname, 'PUBLIC'), c.relname, acl.privilege_type
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL (
    SELECT x.* FROM pg_catalog.aclexplode(c.relacl) x
    UNION ALL SELECT y.* FROM pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) y
    WHERE a.attrelid = c.oid AND NOT a.attisdropped) acl
LEFT JOIN pg_catalog.pg_roles g ON g.oid = acl.grantee
WHERE acl.grantee <> c.relowner AND acl.privilege_type <> 'SELECT'
    AND (g.rolname IS NULL OR g.rolname <> ALL(%(roles)s)) AND {_OURS}
"""  # noqa: S608
MEMBERS = f"""
SELECT DISTINCT 'the membership of ' || r.rolname || ' in ' || o.rolname, ''
FROM pg_catalog.pg_roles r CROSS JOIN pg_catalog.pg_roles o
WHERE r.rolname = ANY(%(roles)s) AND r.oid <> o.oid
    AND (o.rolname = ANY(%(roles)s) OR o.oid IN (
        SELECT c.relowner FROM pg_catalog.pg_class c WHERE {_OURS}))
    AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER')
"""  # noqa: S608
SETTINGS = """
SELECT 'the setting ' || pg_catalog.split_part(given, '=', 1) || ' of '
    || coalesce(r.rolname, 'everybody'), pg_catalog.split_part(given, '=', 2)
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS given
WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d
                            WHERE d.datname = pg_catalog.current_database()))
    AND (s.setrole = 0 OR r.rolname = ANY(%(roles)s) OR r.rolname = current_user)
    AND (given LIKE 'session_replication_role=%%'
         OR given LIKE 'search_path=%%' AND pg_catalog.split_part(given, '=', 2)
            NOT IN ('public', '"$user", public', 'pg_catalog, public'))
"""
KINDS = (
    TABLES, COLUMNS, KEYS, CONSTRAINTS, TRIGGERS, RULES, POLICIES, HEIRS, ELSEWHERE, FUNCTIONS,
    RIGHTS, CALLS, MEMBERS, SETTINGS,
)  # fmt: skip
# From PostgreSQL 16 on, a view names columns of its only table without it.
ONLY_TABLE = re.compile(r"\b(?:ledger|office)_[a-z]+\.|\s+")


def tables(connection: Connection) -> list[str]:
    """The names of the log's tables, as they are."""
    found = connection.execute(
        "SELECT relname FROM pg_catalog.pg_class WHERE relname ~ %s AND relkind IN ('r', 'v')"
        " AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'public')",
        [OF_THE_LOG],
    ).fetchall()
    return [name for (name,) in found]


def read(connection: Connection, names: Sequence[str]) -> Facts:
    """What there is, of the tables of these names. What a function or a view does is a hash."""
    asked = {"tables": list(names), "roles": list(ROLES), "functions": FUNCTIONS_OF}
    found = {
        name: said for kind in KINDS for name, said in connection.execute(kind, asked).fetchall()
    }
    for name, said in found.items():
        if name.startswith(("the function ", "the view ")):
            text = ONLY_TABLE.sub("", said) if name.startswith("the view ") else said
            found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found


def others(connection: Connection, names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Role, table and right, of roles that are neither the owner nor ours; reading apart."""
    asked = {"tables": list(names), "roles": list(ROLES)}
    yield from connection.execute(OTHERS, asked).fetchall()


def roles(connection: Connection) -> set[str]:
    """Which of our roles this server has: a database of one role has none."""
    found = connection.execute(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s)", [list(ROLES)]
    ).fetchall()
    return {name for (name,) in found}
