"""A pytest plugin: a PostgreSQL and a Valkey of the run's own, up before Django reads its settings.

Tests sign in to the test database as the owner, who may also create it; the web's own role is
tried by the tests that are about it. Loaded by `-p tests.engines` (pyproject.toml).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from console import database
from console.embedded import ollama, spawn
from console.embedded.installation import Installation
from console.embedded.postgres import Postgres
from console.embedded.valkey import Valkey


class Engines:
    """What one run of the tests started, and how to stop it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fusebox-tests-"))
        self.installation = Installation(self.folder / "var")
        self.installation.create()
        self.children: list[tuple[subprocess.Popen[bytes], object]] = []
        self.postgres = Postgres(self.installation)
        self.valkey = Valkey(self.installation)

    def start(self) -> None:
        for engine in (self.postgres, self.valkey):
            child = engine.start()
            self.children.append((child, engine.stop_signal))
            if not spawn.wait_until(engine.is_ready, child, 30):
                raise RuntimeError(f"{engine.name} did not start")
        self.postgres.prepare()
        with psycopg.connect(self.postgres.admin_url, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {database.OWNER} CREATEDB")
        # What a migration creates in a new database is the web's to use, as in the real one.
        database.share_with_web(self.installation.database_url(database.OWNER, "template1"))

    def environment(self) -> dict[str, str]:
        values = self.installation.environment()
        values["DATABASE_URL"] = values["DATABASE_OWNER_URL"]
        return values

    def stop(self) -> None:
        for child, number in reversed(self.children):
            spawn.stop(child, number, 10)  # type: ignore[arg-type]
        shutil.rmtree(self.folder, ignore_errors=True)


_engines: Engines | None = None


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before pytest-django looks at the settings. Of a run that is shared out (`-n 2`) each worker
    has engines of its own, and who only shares out has none."""
    global _engines
    shared = getattr(early_config.known_args_namespace, "numprocesses", None)
    if shared and "PYTEST_XDIST_WORKER" not in os.environ:
        return
    if "DATABASE_URL" not in os.environ:
        _engines = Engines()
        _engines.start()
        os.environ.update(_engines.environment())


def pytest_unconfigure() -> None:
    if _engines is not None:
        _engines.stop()


@pytest.fixture(scope="session")
def installation() -> Installation:
    """The data folder of the run's own engines."""
    if _engines is None:
        raise RuntimeError("the tests start engines of their own; unset DATABASE_URL")
    return _engines.installation


@pytest.fixture(scope="session")
def ollama_url(installation: Installation) -> Iterator[str]:
    """A real Ollama of the run's own, empty."""
    node = ollama.from_wheel(installation)
    child = node.start()
    if not spawn.wait_until(node.is_ready, child, 30):
        raise RuntimeError((installation.logs / "ollama.log").read_text()[-2000:])
    yield node.url
    spawn.stop(child, node.stop_signal, 10)
