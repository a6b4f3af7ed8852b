"""Typed readers of the environment that fail loudly. Only console/settings.py imports this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from environs import Env
from psycopg.conninfo import conninfo_to_dict

env = Env()

DATABASE_VARIABLES = {
    "web": "DATABASE_URL",
    "owner": "DATABASE_OWNER_URL",
    "sealer": "DATABASE_SEALER_URL",
}


def secret(name: str, default: str) -> str:
    """The value of NAME, or the content of the file that NAME_FILE names, without its line end."""
    path = env.str(f"{name}_FILE", "")
    if not path:
        return env.str(name, default)
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}_FILE={path} cannot be read: {error.strerror}"
        ) from error


def database(role: str) -> dict[str, Any]:
    """Django's DATABASES entry for the role `web`, `owner` or `sealer` (FUSEBOX_DB_AS)."""
    if role not in DATABASE_VARIABLES:
        raise ImproperlyConfigured(f"FUSEBOX_DB_AS is {role!r}; it may be web, owner or sealer.")
    name = DATABASE_VARIABLES[role]
    url = secret(name, "postgresql://fusebox_web@127.0.0.1:5432/fusebox")
    if not url.startswith(("postgresql://", "postgres://")):
        raise ImproperlyConfigured(
            f"{name} must begin with postgresql://; no other database serves."
        )
    parts = conninfo_to_dict(url)
    options: dict[str, Any] = {"application_name": "fusebox", "connect_timeout": 5}
    for given in ("sslmode", "sslrootcert", "sslcert", "sslkey"):
        if given in parts:
            options[given] = parts[given]
    config: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.get("dbname", "fusebox"),
        "USER": parts.get("user", ""),
        "PASSWORD": parts.get("password", ""),
        "HOST": parts.get("host", ""),
        "PORT": str(parts.get("port", "")),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
    if env.bool("FUSEBOX_DB_POOL", False):
        options["pool"] = {"min_size": 1, "max_size": 8, "timeout": 10}
    else:
        config["CONN_MAX_AGE"] = env.int("FUSEBOX_DB_CONN_MAX_AGE", 0)
    return config
