"""A PostgreSQL of one's own under `make up`: DATABASE_URL names it, its roles are prepared."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from console import database
from console.embedded.installation import Installation


class NotPrepared(RuntimeError):
    """The given database cannot be used as it is; the text says what to do."""


def prepare_database(installation: Installation, given: Mapping[str, str]) -> dict[str, str]:
    """The environment for a given DATABASE_URL.

    With DATABASE_OWNER_URL beside it, both are used as they are. Alone it is the identity that
    makes the three roles, whose passwords are kept in the data folder.
    """
    url = given["DATABASE_URL"]
    if given.get("DATABASE_OWNER_URL"):
        return {"DATABASE_URL": url, "DATABASE_OWNER_URL": given["DATABASE_OWNER_URL"]}
    passwords = {role: installation.secret(f"db-{role}") for role in database.ROLES}
    name = str(conninfo_to_dict(url).get("dbname") or "fusebox")
    try:
        database.prepare_roles(url, passwords, database=name)
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotPrepared(
            "The user in DATABASE_URL may not create roles. Give one that may, or prepare the "
            "roles with `manage.py prepare_database` and set DATABASE_URL and DATABASE_OWNER_URL."
        ) from error
    except psycopg.OperationalError as error:
        raise NotPrepared(f"DATABASE_URL cannot be reached: {error}") from error
    urls = {role: _url(url, role, passwords[role], name) for role in database.ROLES}
    database.share_with_web(urls[database.OWNER])
    return {
        "DATABASE_URL": urls[database.WEB],
        "DATABASE_OWNER_URL": urls[database.OWNER],
        "DATABASE_SEALER_URL": urls[database.SEALER],
    }


def _url(url: str, role: str, password: str, name: str) -> str:
    parts = conninfo_to_dict(make_conninfo(url, user=role, password=password, dbname=name))
    host, port = str(parts.get("host", "127.0.0.1")), parts.get("port", 5432)
    if host.startswith("/"):
        return f"postgresql://{role}:{password}@/{name}?host={host}&port={port}"
    return f"postgresql://{role}:{password}@{host}:{port}/{name}"
