"""Starting a child that cannot outlive its supervisor, and ending it with all that it started."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

PR_SET_PDEATHSIG = 1


class User(Protocol):
    """Somebody whom a child becomes before it starts."""

    def become(self, libc: ctypes.CDLL) -> None: ...


def start(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    log: Path | None,
    cwd: Path | None = None,
    user: User | None = None,
    end_with: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, its output going to `log` or to ours.

    When the supervisor dies, even by SIGKILL, the child gets `end_with`. `user` is for a program
    that refuses to run as root.
    """
    with ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else None
        return subprocess.Popen(
            [str(part) for part in command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if log else None,
            start_new_session=True,
            preexec_fn=_before_exec(user, end_with),  # noqa: PLW1509  before any thread
        )


def run(command: Sequence[str | Path], *, env: Mapping[str, str], user: User | None = None) -> str:
    """Run a short command to its end; its output, or RuntimeError with it."""
    done = subprocess.run(
        [str(part) for part in command],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_before_exec(user, signal.SIGKILL),
    )
    if done.returncode:
        raise RuntimeError(f"{Path(str(command[0])).name} failed: {done.stderr or done.stdout}")
    return done.stdout


def stop(child: subprocess.Popen[bytes], first: signal.Signals, patience_s: float) -> None:
    """Ask a child to end, wait, then end it and everything in its session."""
    ask(child, first)
    with suppress(subprocess.TimeoutExpired):
        child.wait(patience_s)
    sweep(child)


def ask(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if child.poll() is None:
        with suppress(ProcessLookupError):
            child.send_signal(number)


def sweep(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a child's process group, such as the runners of a killed Ollama."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        child.wait(5)


def wait_until(
    ready: Callable[[], bool], child: subprocess.Popen[bytes] | None, seconds: float
) -> bool:
    """Poll `ready` until it is true, the child has died or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return True
        if child is not None and child.poll() is not None:
            return False
        time.sleep(0.05)
    return False


def _before_exec(user: User | None, end_with: signal.Signals) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        if user is not None:
            user.become(libc)
        libc.prctl(PR_SET_PDEATHSIG, int(end_with))

    return prepare
