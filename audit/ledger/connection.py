"""A connection string of our own for those who speak to PostgreSQL past the ORM."""

from __future__ import annotations

from django.conf import settings
from psycopg.conninfo import make_conninfo


def conninfo() -> str:
    """libpq's connection string of the role that this process signs in as."""
    config = settings.DATABASES["default"]
    options = config.get("OPTIONS", {})
    given = {
        "dbname": config["NAME"],
        "user": config["USER"],
        "password": config["PASSWORD"],
        "host": config["HOST"],
        "port": config["PORT"],
        **{k: v for k, v in options.items() if k.startswith("ssl")},
    }
    return make_conninfo("", **{k: v for k, v in given.items() if v})
