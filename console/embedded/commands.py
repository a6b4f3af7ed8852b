"""What `manage.py` needs of the embedded default: its environment, and PostgreSQL for a while."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from console.embedded import not_root, spawn
from console.embedded.installation import Installation
from console.embedded.postgres import Postgres

ROOT = Path(__file__).resolve().parent.parent.parent
WITHOUT_DATABASE = {
    "", "help", "--help", "-h", "version", "--version", "check", "collectstatic", "findstatic",
    "messages", "makemessages", "compilemessages", "spectacular", "diffsettings", "audit_events",
    "permissions_table", "prepare_database",
}  # fmt: skip
AS_OWNER = {"migrate", "sqlmigrate", "showmigrations", "makemigrations", "dbshell"}
# A database of one's own: the command speaks to that, and nothing is started.
OUTSIDE = ("DATABASE_URL", "DATABASE_URL_FILE", "DATABASE_SEALER_URL", "DATABASE_SEALER_URL_FILE")
AS_SEALER = {"audit_seal"}
READY_S = 30.0


def data_dir() -> Path:
    return Path(os.environ.get("FUSEBOX_DATA") or ROOT / "var")


@contextmanager
def engines_for(arguments: list[str]) -> Iterator[None]:
    """Prepare the environment and, for a command that needs it, the database of the data folder.

    With DATABASE_URL set nothing is started: the command speaks to that database.
    """
    command = arguments[1] if len(arguments) > 1 else ""
    if command in AS_OWNER:
        os.environ.setdefault("FUSEBOX_DB_AS", "owner")
    elif command in AS_SEALER:
        os.environ.setdefault("FUSEBOX_DB_AS", "sealer")
    if any(os.environ.get(name) for name in OUTSIDE):
        yield
        return
    if command in WITHOUT_DATABASE or "--help" in arguments:
        yield
        return
    installation = Installation(data_dir())
    try:
        installation.create()
    except OSError as error:
        sys.exit(
            f"The data folder {installation.data} cannot be written: {error.strerror}. Set "
            "FUSEBOX_DATA."
        )
    for name, value in installation.environment().items():
        os.environ.setdefault(name, value)
    try:
        not_root.find()
    except not_root.NoUser as error:
        sys.exit(str(error))
    with _database(installation):
        yield


@contextmanager
def _database(installation: Installation) -> Iterator[None]:
    """Whoever holds the lock "engine" runs PostgreSQL; the others hold a share of "guests".

    The holder stops it only when it has "guests" for itself, so nobody's database goes away.
    `make up` holds "engine" as long as it runs.
    """
    with ExitStack() as stack:
        if not stack.enter_context(installation.locked("engine", wait=False)):
            stack.enter_context(installation.locked("guests", wait=True, shared=True))
            # Free by now if its holder ended while we came in.
            if not stack.enter_context(installation.locked("engine", wait=False)):
                _wait_for_host(installation)
                yield
                return
            stack.close()
            with _database(installation):
                yield
            return
        with _host(installation):
            yield


def _wait_for_host(installation: Installation) -> None:
    postgres = Postgres(installation)
    if not spawn.wait_until(
        lambda: is_migrated(installation) and postgres.is_ready(), None, READY_S
    ):
        sys.exit("The console is starting, but its database does not answer yet. Try again.")


@contextmanager
def _host(installation: Installation) -> Iterator[None]:
    postgres = Postgres(installation)
    child = postgres.start()
    try:
        if not spawn.wait_until(postgres.is_ready, child, READY_S):
            sys.exit(f"PostgreSQL did not start; see {installation.logs / 'postgres.log'}.")
        postgres.prepare()
        _migrate_if_needed(installation)
        yield
    finally:
        with ExitStack() as stack:
            if not stack.enter_context(installation.locked("guests", wait=False)):
                print("waiting for another command that uses this database …", file=sys.stderr)
                stack.enter_context(installation.locked("guests", wait=True))
            spawn.stop(child, postgres.stop_signal, 10)


def _migrate_if_needed(installation: Installation) -> None:
    if not is_migrated(installation):
        environment = {**os.environ, **installation.environment(), "FUSEBOX_DB_AS": "owner"}
        migrate(environment)
        mark_migrated(installation)


def is_migrated(installation: Installation) -> bool:
    """Whether the data folder's database has the migrations of this checkout."""
    try:
        return _marker(installation).read_text() == _migrations()
    except OSError:
        return False


def mark_migrated(installation: Installation) -> None:
    _marker(installation).write_text(_migrations())


def _marker(installation: Installation) -> Path:
    return installation.data / ".migrated"


def _migrations() -> str:
    """The names of all migrations of our rooms."""
    found = (
        p.relative_to(ROOT) for p in ROOT.glob("*/**/migrations/0*.py") if ".venv" not in p.parts
    )
    return "\n".join(sorted(map(str, found)))


def migrate(environment: dict[str, str]) -> None:
    """Bring the schema up to date as the owner. RuntimeError with Django's words if that fails."""
    done = subprocess.run(
        [sys.executable, "-m", "django", "migrate", "--noinput", "--verbosity", "0"],
        env={**environment, "FUSEBOX_DB_AS": "owner", "DJANGO_SETTINGS_MODULE": "console.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip())
