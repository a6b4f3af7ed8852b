"""The children that are our own programs: web with gateway, worker, beat, sealer, forwarder."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

from console.embedded import spawn
from console.embedded.commands import ROOT
from console.embedded.installation import Installation

# Passwords of the other roles: no program is told those.
OTHERS = ("DATABASE_OWNER_URL", "DATABASE_SEALER_URL")
# With one of these set, there is something to forward.
OUTSIDE = ("FUSEBOX_SYSLOG_URL", "FUSEBOX_CHECKPOINT_DIR", "FUSEBOX_TSA_URL")


class Program:
    """A Python program of ours in the checkout, with the environment of this installation."""

    stop_signal = signal.SIGTERM

    def __init__(
        self, name: str, arguments: list[str], installation: Installation, env: Mapping[str, str]
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.installation = installation
        shared = {key: value for key, value in env.items() if key not in OTHERS}
        self.env = {
            **shared, "DJANGO_SETTINGS_MODULE": "console.settings", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        return spawn.start(
            [sys.executable, "-m", *self.arguments],
            env=self.env,
            log=self.installation.logs / f"{self.name}.log",
            cwd=ROOT,
        )

    def is_ready(self) -> bool:
        return True


class Web(Program):
    """The console and the gateway in one uvicorn."""

    def __init__(
        self, installation: Installation, env: Mapping[str, str], host: str, port: int
    ) -> None:
        arguments = [
            "uvicorn", "console.asgi:application", "--host", host, "--port", str(port),
            "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header",
            "--timeout-graceful-shutdown", "6", "--no-proxy-headers",
        ]  # fmt: skip
        super().__init__("web", arguments, installation, {**env, "FUSEBOX_DB_POOL": "true"})
        inside = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104  compared only
        self.health = f"http://{inside}:{port}/readyz"

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.health, timeout=2) as reply:  # noqa: S310
                return bool(reply.status == 200)
        except (OSError, urllib.error.URLError, ValueError):
            return False


# name -> what it takes: the short and regular; what changes deployments; transfers. The last two
# wait for nodes most of the time, so threads of one process are enough for many at once.
WORKERS = {
    "worker": ("--queues", "fusebox", "--concurrency", "2"),
    "operations": ("--queues", "fusebox.operations", "--pool", "threads", "--concurrency", "8"),
    "transfers": ("--queues", "fusebox.transfers", "--pool", "threads", "--concurrency", "8"),
}


def worker(name: str, installation: Installation, env: Mapping[str, str]) -> Program:
    arguments = [
        "celery", "-A", "console.celery:app", "worker", "--loglevel", "WARNING",
        "--without-gossip", "--without-mingle", "--hostname", f"{name}@%h", *WORKERS[name],
    ]  # fmt: skip
    return Program(name, arguments, installation, env)


def beat(installation: Installation, env: Mapping[str, str]) -> Program:
    schedule = str(installation.data / "beat-schedule")
    arguments = [
        "celery", "-A", "console.celery:app", "beat", "--loglevel", "WARNING",
        "--schedule", schedule, "--pidfile=",
    ]  # fmt: skip
    return Program("beat", arguments, installation, env)


def forwarder(installation: Installation, env: Mapping[str, str]) -> Program:
    return Program("forwarder", ["django", "audit_forward"], installation, env)


def sealer(installation: Installation, env: Mapping[str, str]) -> Program:
    """The sealer signs in as itself, and only as itself."""
    program = Program("sealer", ["django", "audit_seal"], installation, env)
    program.env["FUSEBOX_DB_AS"] = "sealer"
    program.env["DATABASE_SEALER_URL"] = env["DATABASE_SEALER_URL"]
    program.env["DATABASE_URL"] = env["DATABASE_SEALER_URL"]
    return program
