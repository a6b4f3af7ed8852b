"""`make up`: everything set up, step by step, then watched over until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from console.embedded import not_root, ollama, outside, programs, spawn, wheels
from console.embedded.commands import ROOT, data_dir, mark_migrated, migrate
from console.embedded.installation import Installation
from console.embedded.postgres import Postgres
from console.embedded.supervisor import Child, StartFailed, Supervisor
from console.embedded.valkey import Valkey

MAX_LOG_BYTES = 10 * 1024 * 1024
FIRST_RUN_TRIES = 3


def say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """One line a step, with the seconds it took."""
    print(f"  {text} ", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"ok ({time.monotonic() - began:.1f} s)", flush=True)


class Refused(RuntimeError):
    """It cannot be started like this; the text is one sentence that says what to do."""


def main() -> int:
    with ExitStack() as stack:
        try:
            return _up(stack)
        except (
            Refused,
            StartFailed,
            wheels.EngineMissing,
            outside.NotPrepared,
            not_root.NoUser,
        ) as error:
            say(f"\n{error}")
            return 1
        except subprocess.SubprocessError as error:
            say(f"\nA program could not be started: {error}.")
            return 1


def _up(stack: ExitStack) -> int:
    host, port = os.environ.get("FUSEBOX_HOST", "127.0.0.1"), _port()
    installation = Installation(data_dir())
    say(f"Fusebox, data in {installation.data}")
    with step("data folder and port"):
        _folder(installation)
        _only_one(installation, stack)
        _free(host, port)
        _rotate_logs(installation.logs)
    supervisor = Supervisor(say)
    supervisor.catch_signals()
    stack.callback(supervisor.stop_all)
    env = {**os.environ, **_environment(installation, host, port)}
    _engines(supervisor, installation, env)
    if supervisor.stopping:
        return _goodbye()
    with step("database schema"):
        _migrate(installation, env)
    _programs(supervisor, installation, env, host, port)
    if not supervisor.stopping:
        first = FirstRun(installation, env)
        supervisor.watch(first.look)
        first.end()
    return _goodbye()


def _goodbye() -> int:
    say("\nstopping …")
    return 0


def _engines(supervisor: Supervisor, installation: Installation, env: dict[str, str]) -> None:
    logs = installation.logs
    if os.environ.get("DATABASE_URL"):
        with step("PostgreSQL of your own"):
            env |= outside.prepare_database(installation, os.environ)
    else:
        postgres = Postgres(installation)
        with step("PostgreSQL"):
            supervisor.start(Child(postgres, logs / "postgres.log"))
            if not supervisor.stopping:
                postgres.prepare()
    if not os.environ.get("REDIS_URL"):
        with step("Valkey"):
            supervisor.start(Child(Valkey(installation), logs / "valkey.log"))
    with step("Ollama"):
        found = ollama.find(installation, os.environ.get("FUSEBOX_OLLAMA_URL", ""))
        if isinstance(found, ollama.Own):
            supervisor.start(Child(found, logs / "ollama.log"))
    env["FUSEBOX_OLLAMA_URL"] = found.url


def _programs(
    supervisor: Supervisor, installation: Installation, env: dict[str, str], host: str, port: int
) -> None:
    logs = installation.logs
    with step("sealer"):
        sealer = programs.sealer(installation, env)
        supervisor.start(Child(sealer, logs / "sealer.log", program=True))
    if any(env.get(name) for name in programs.OUTSIDE):
        with step("forwarder"):
            forwarder = programs.forwarder(installation, env)
            supervisor.start(Child(forwarder, logs / "forwarder.log", program=True))
    with step("workers and beat"):
        for name in programs.WORKERS:
            worker, log = programs.worker(name, installation, env), logs / f"{name}.log"
            supervisor.start(Child(worker, log, program=True, press=signal.SIGQUIT))
        beat = programs.beat(installation, env)
        supervisor.start(Child(beat, logs / "beat.log", program=True))
    with step("web and gateway"):
        web = programs.Web(installation, env, host, port)
        supervisor.start(Child(web, logs / "web.log", ready_s=60, program=True))


class FirstRun:
    """The first accounts and the first deployment, made by a process of its own beside the rest."""

    def __init__(self, installation: Installation, env: dict[str, str]) -> None:
        self.installation = installation
        self.env = {**env, "DJANGO_SETTINGS_MODULE": "console.settings"}
        self.tries = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._begin()

    def look(self) -> None:
        if self.process is None or self.process.poll() is None:
            return
        code, self.process = self.process.returncode, None
        if code and self.tries < FIRST_RUN_TRIES:
            say("  setting up did not finish; trying again")
            self._begin()
        elif code:
            say("  setting up did not finish; the next start takes it up again.")

    def end(self) -> None:
        if self.process is not None:
            spawn.stop(self.process, signal.SIGTERM, 1)

    def _begin(self) -> None:
        self.tries += 1
        # A session of its own: Ctrl-C is for the supervisor, which then ends this too.
        self.process = spawn.start(
            [sys.executable, "-m", "console.embedded.first_run"], env=self.env, log=None, cwd=ROOT
        )


def _environment(installation: Installation, host: str, port: int) -> dict[str, str]:
    values = installation.environment()
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "FUSEBOX_SECRET_KEY"):
        if given := os.environ.get(name):
            values[name] = given
    values["FUSEBOX_PORT"] = str(port)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "localhost") else host  # noqa: S104
    values["FUSEBOX_PUBLIC_URL"] = os.environ.get("FUSEBOX_PUBLIC_URL", f"http://{shown}:{port}")
    if host not in ("127.0.0.1", "localhost") and "FUSEBOX_ALLOWED_HOSTS" not in os.environ:
        values["FUSEBOX_ALLOWED_HOSTS"] = f"127.0.0.1,localhost,{shown},{socket.gethostname()}"
    return values


def _port() -> int:
    text = os.environ.get("FUSEBOX_PORT") or "8000"
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise Refused(f"FUSEBOX_PORT is {text!r}; it must be a number from 1 to 65535.")
    return int(text)


def _folder(installation: Installation) -> None:
    try:
        installation.create()
    except OSError as error:
        raise Refused(
            f"The data folder {installation.data} cannot be written ({error.strerror}). "
            "Set FUSEBOX_DATA to a folder that can."
        ) from error


def _only_one(installation: Installation, stack: ExitStack) -> None:
    for _try in range(20):
        if stack.enter_context(installation.locked("up", wait=False)):
            break
        time.sleep(0.05)
    else:
        raise Refused(
            f"Fusebox already runs on {installation.data}. Stop it first, or set FUSEBOX_DATA."
        )
    if not stack.enter_context(installation.locked("engine", wait=False)):
        say("\n  waiting for a manage.py command that uses this folder …")
        stack.enter_context(installation.locked("engine", wait=True))


def _free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Refused(
                f"Port {port} on {host} cannot be used ({error.strerror}). Set FUSEBOX_PORT "
                "to another, "
                f"for example: FUSEBOX_PORT={port + 1} make up"
            ) from error


def _rotate_logs(folder: Path) -> None:
    for path in folder.glob("*.log"):
        if path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))


def _migrate(installation: Installation, env: dict[str, str]) -> None:
    try:
        migrate(env)
    except (RuntimeError, psycopg.Error) as error:
        raise Refused(f"The database schema could not be brought up to date:\n{error}") from error
    mark_migrated(installation)
