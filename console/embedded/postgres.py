"""PostgreSQL in the data folder: a unix socket only, a password for every role."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from console import database
from console.embedded import spawn, wheels
from console.embedded.installation import Installation

ADMIN = "fusebox_admin"
STOP = signal.SIGINT  # fast shutdown: open transactions are rolled back
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
        self.env = {**os.environ, "LC_ALL": "C.UTF-8"}

    @property
    def admin_url(self) -> str:
        return self.installation.database_url(ADMIN, "postgres")

    def initialise(self) -> None:
        """Make the cluster if it is not there yet; a half-made one is made anew."""
        folder = self.installation.postgres
        if (folder / "PG_VERSION").exists():
            return
        part = folder.with_name("postgres.part")
        if part.exists():
            subprocess.run(["rm", "-rf", str(part)], check=True)  # noqa: S607  half-made, ours
        with tempfile.NamedTemporaryFile("w", dir=self.installation.data) as password:
            password.write(self.installation.secret(f"db-{ADMIN}"))
            password.flush()
            spawn.run(
                [
                    self.bin / "initdb", "-D", part, "-U", ADMIN, "--auth=scram-sha-256",
                    f"--pwfile={password.name}", "--encoding=UTF8",
                    "--locale=C.UTF-8", "--no-instructions",
                ],
                env=self.env,
                unprivileged=True,
            )  # fmt: skip
        part.rename(folder)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server in the foreground."""
        self.initialise()
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
            unprivileged=True,
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

    def other_server(self) -> int | None:
        """The pid of a server that already runs on this folder, started by somebody else."""
        try:
            first = (self.installation.postgres / "postmaster.pid").read_text().split("\n")[0]
            pid = int(first)
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and b"postgres" not in command.read_bytes():
            return None
        return pid
