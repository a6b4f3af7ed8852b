"""`manage.py prepare_database`: the roles and the database of production, before the first migrate.

DATABASE_ADMIN_URL signs in as one who may create roles and databases; the passwords of the roles
are those in DATABASE_URL, DATABASE_OWNER_URL and DATABASE_SEALER_URL (each may be given by _FILE).
"""

from __future__ import annotations

import secrets
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from psycopg.conninfo import conninfo_to_dict

from console import database
from console.env import secret


class Command(BaseCommand):
    help = "Create or update the database and its three roles. Safe to run again."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        admin = _given("DATABASE_ADMIN_URL")
        web, owner = _given("DATABASE_URL"), _given("DATABASE_OWNER_URL")
        name = _database_of(web, owner)
        passwords = {
            database.WEB: _password("DATABASE_URL", web, database.WEB),
            database.OWNER: _password("DATABASE_OWNER_URL", owner, database.OWNER),
            database.SEALER: _sealer_password(),
        }
        try:
            database.prepare_roles(admin, passwords, database=name)
            database.share_with_web(owner)
        except psycopg.errors.InsufficientPrivilege as error:
            raise CommandError(
                "DATABASE_ADMIN_URL may not create roles and databases: "
                f"{error.diag.message_primary}"
            ) from error
        except psycopg.OperationalError as error:
            raise CommandError(f"The database cannot be reached: {error}") from error
        self.stdout.write(f"Database {name} and its roles are prepared.")


def _given(name: str) -> str:
    url = secret(name, "")
    if not url:
        raise CommandError(f"Set {name}, or {name}_FILE to a file that holds it.")
    return url


def _database_of(web: str, owner: str) -> str:
    names = {str(conninfo_to_dict(url).get("dbname") or "fusebox") for url in (web, owner)}
    if len(names) > 1:
        raise CommandError("DATABASE_URL and DATABASE_OWNER_URL name different databases.")
    return names.pop()


def _password(variable: str, url: str, role: str) -> str:
    parts = conninfo_to_dict(url)
    if parts.get("user") != role or not parts.get("password"):
        raise CommandError(f"{variable} must sign in as {role}, with a password.")
    return str(parts["password"])


def _sealer_password() -> str:
    """The sealer's own password, or one that nobody knows while nothing signs in as the sealer."""
    url = secret("DATABASE_SEALER_URL", "")
    if url:
        return _password("DATABASE_SEALER_URL", url, database.SEALER)
    return secrets.token_urlsafe(48)
