"""PostgreSQL in the data folder: a unix socket only, a password for every role."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from console import database
from console.embedded import not_root, spawn, wheels
from console.embedded.installation import Installation

ADMIN = "fusebox_admin"
STOP = signal.SIGINT  # fast shutdown: open transactions are rolled back
LEFTOVERS_S = 10.0
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    "password_encryption": "scram-sha-256",
    "unix_socket_permissions": "0700",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


class Postgres:
    """The server of one data folder; `start` returns the child to watch over."""

    name = "postgres"
    stop_signal = STOP

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.bin = wheels.postgres_bin()
        self.user = not_root.find()
        self.env = {**os.environ, "LC_ALL": "C.UTF-8"}

    @property
    def admin_url(self) -> str:
        return self.installation.database_url(ADMIN, "postgres")

    def initialise(self) -> None:
        """Make the cluster if it is not there yet; a half-made one is made anew."""
        folder = self.installation.postgres
        if (folder / "PG_VERSION").exists():
            self._make_room(folder)
            return
        part = folder.with_name("postgres.part")
        if part.exists():
            subprocess.run(["rm", "-rf", str(part)], check=True)  # noqa: S607  half-made, ours
        part.mkdir(mode=0o700)
        self._make_room(part)
        with tempfile.NamedTemporaryFile("w", dir=self.installation.data) as password:
            password.write(self.installation.secret(f"db-{ADMIN}"))
            password.flush()
            if self.user is not None:
                not_root.give(self.user, Path(password.name))
            spawn.run(
                [
                    self.bin / "initdb", "-D", part, "-U", ADMIN, "--auth=scram-sha-256",
                    f"--pwfile={password.name}", "--encoding=UTF8",
                    "--locale=C.UTF-8", "--no-instructions",
                ],
                env=self.env,
                user=self.user,
            )  # fmt: skip
        part.rename(folder)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server in the foreground."""
        self.initialise()
        self._end_leftovers()
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        return spawn.start(
            [
                self.bin / "postgres",
                "-D",
                self.installation.postgres,
                f"--unix_socket_directories={self.installation.sockets}",
                *options,
            ],
            env=self.env,
            log=self.installation.logs / "postgres.log",
            user=self.user,
            end_with=signal.SIGINT,
        )

    def is_ready(self) -> bool:
        try:
            with psycopg.connect(self.admin_url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def prepare(self) -> None:
        """The three roles and the database; safe to run again."""
        passwords = {role: self.installation.secret(f"db-{role}") for role in database.ROLES}
        database.prepare_roles(self.admin_url, passwords)
        database.share_with_web(self.installation.database_url(database.OWNER))

    def _make_room(self, folder: Path) -> None:
        """Where PostgreSQL runs as somebody else, its folders are theirs and can be reached."""
        if self.user is None:
            return
        for place in (folder, self.installation.sockets):
            not_root.give(self.user, place)
        if isinstance(self.user, not_root.Account):
            ways = (folder, self.installation.sockets, self.bin / "postgres")
            opened = [parent for way in ways for parent in not_root.open_way(way)]
            if opened:
                print(
                    f"\n  user namespaces are refused here, so PostgreSQL runs as "
                    f"{not_root.NAME}; opened for passing through: {', '.join(map(str, opened))}",
                    file=sys.stderr,
                )

    def _end_leftovers(self) -> None:
        """Wait for a server that is ending; kill backends whose server was killed.

        A backend in the middle of a long query does not notice, and keeps the next server out.
        They are known by their program and by this folder as their working directory. Only the
        holder of the lock "engine" comes here.
        """
        deadline = time.monotonic() + LEFTOVERS_S
        while self._leftovers() and time.monotonic() < deadline and self._server_lives():
            time.sleep(0.1)
        for pid in self._leftovers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        spawn.wait_until(lambda: not self._leftovers(), None, 5)

    def _leftovers(self) -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (
                    (process / "cwd").readlink() == self.installation.postgres.resolve()
                    and (process / "exe").readlink() == (self.bin / "postgres").resolve()
                    and ") Z " not in (process / "stat").read_text()
                ):
                    found.append(int(process.name))
        return found

    def _server_lives(self) -> bool:
        try:
            pid = (self.installation.postgres / "postmaster.pid").read_text().split("\n")[0]
            return int(pid) in self._leftovers()
        except (OSError, ValueError):
            return False
