"""Starting a child that cannot outlive its supervisor, and ending it with all that it started."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def start(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    unprivileged: bool = False,
    end_with: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, its output going to `log`.

    When the supervisor dies, even by SIGKILL, the child gets `end_with`. With `unprivileged` a
    program that refuses to run as root sees another user (see as_another_user).
    """
    hide_root = unprivileged and os.geteuid() == 0
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_before_exec(hide_root, end_with),  # noqa: PLW1509  before any thread
        )


def run(
    command: Sequence[str | Path], *, env: Mapping[str, str], unprivileged: bool = False
) -> str:
    """Run a short command to its end; its output, or RuntimeError with it."""
    hide_root = unprivileged and os.geteuid() == 0
    done = subprocess.run(
        [str(part) for part in command],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_before_exec(hide_root, signal.SIGKILL),
    )
    if done.returncode:
        raise RuntimeError(f"{Path(str(command[0])).name} failed: {done.stderr or done.stdout}")
    return done.stdout


def stop(child: subprocess.Popen[bytes], first: signal.Signals, patience_s: float) -> None:
    """Ask a child to end, wait, then end it and everything in its session."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            child.send_signal(first)
        with suppress(subprocess.TimeoutExpired):
            child.wait(patience_s)
    sweep(child)


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


def _before_exec(hide_root: bool, end_with: signal.Signals) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        if hide_root:
            as_another_user(libc)
        libc.prctl(PR_SET_PDEATHSIG, int(end_with))

    return prepare


def as_another_user(libc: ctypes.CDLL) -> None:
    """Enter a user namespace where our root is an ordinary user; files stay root's outside.

    PostgreSQL refuses uid 0. Running it as a real other user would need every parent of the data
    folder opened for that user; this opens nothing.
    """
    inside = next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are not allowed here")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside.pw_uid} 0 1")
    Path("/proc/self/gid_map").write_text(f"{inside.pw_gid} 0 1")
