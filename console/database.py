"""The three database roles, prepared in one place: for `make up`, for tests and for production.

fusebox_owner owns everything and migrates; fusebox_web is what web, gateway and workers sign in
as; fusebox_sealer is kept for the sealing of the log.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

OWNER, WEB, SEALER = "fusebox_owner", "fusebox_web", "fusebox_sealer"
ROLES = (OWNER, WEB, SEALER)


def prepare_roles(admin: str, passwords: Mapping[str, str], *, database: str = "fusebox") -> None:
    """Create or update the roles and the database. Safe to run again.

    admin: conninfo of a role that may create roles and databases; passwords: role -> password.
    """
    with psycopg.connect(admin, autocommit=True) as connection:
        for role in ROLES:
            _role(connection, role, passwords[role])
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
        if found.fetchone() is None:
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(OWNER)))
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                    sql.Identifier(database), sql.Identifier(OWNER)
                )
            )
        connection.execute(
            sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(
                sql.Identifier(database)
            )
        )
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}, {}").format(
                sql.Identifier(database), sql.Identifier(WEB), sql.Identifier(SEALER)
            )
        )


def share_with_web(owner: str) -> None:
    """As the owner, inside the database: what migrations create is the web's to use.

    The ledger's own migration takes UPDATE, DELETE and TRUNCATE on the log away again.
    """
    web = sql.Identifier(WEB)
    with psycopg.connect(owner, autocommit=True) as connection:
        for statement in (
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            "GRANT USAGE ON SCHEMA public TO {web}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public "
            "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {web}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {web}",
        ):
            connection.execute(sql.SQL(statement).format(web=web))


def _role(connection: psycopg.Connection[tuple[object, ...]], role: str, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = "ALTER" if known else "CREATE"
    connection.execute(
        sql.SQL(verb + " ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(password)
        )
    )
