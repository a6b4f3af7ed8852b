"""Whom PostgreSQL runs as when we are root, because it refuses to run as root itself."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CLONE_NEWUSER = 0x10000000
NAME = "fusebox-postgres"


class NoUser(RuntimeError):
    """There is nobody to run PostgreSQL as; the text says what to do."""


@dataclass(frozen=True)
class Namespace:
    """A user namespace where our root is an ordinary user: files stay root's, nothing is opened."""

    uid: int
    gid: int
    owner = 0

    def become(self, libc: ctypes.CDLL) -> None:
        if libc.unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "user namespaces are not allowed here")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{self.uid} 0 1")
        Path("/proc/self/gid_map").write_text(f"{self.gid} 0 1")


@dataclass(frozen=True)
class Account:
    """A real account, for where namespaces are refused, as in most containers."""

    uid: int
    gid: int

    @property
    def owner(self) -> int:
        return self.uid

    def become(self, libc: ctypes.CDLL) -> None:
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(self.uid)


@cache
def find() -> Namespace | Account | None:
    """None when we are not root. Raises NoUser."""
    if os.geteuid() != 0:
        return None
    if not sys.platform.startswith("linux"):
        raise NoUser("PostgreSQL does not run as root. Run this as an ordinary user.")
    namespace = Namespace(1, 1)
    return namespace if _works(namespace) else _account()


def give(user: Namespace | Account, folder: Path) -> None:
    """Make everything in a folder the user's, unless it is already."""
    if folder.lstat().st_uid == user.owner:
        return
    group = user.gid if user.owner else 0
    for path in (*folder.rglob("*"), folder):  # the folder last: its owner says that all is done
        os.chown(path, user.owner, group, follow_symlinks=False)


def open_way(folder: Path) -> list[Path]:
    """Let others pass through the parents of a folder, not read them; those that were closed."""
    closed = [p for p in folder.parents if not p.stat().st_mode & stat.S_IXOTH]
    for parent in closed:
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    return closed


def _works(namespace: Namespace) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        subprocess.run(
            [sys.executable, "-c", ""],
            check=True,
            preexec_fn=lambda: namespace.become(libc),
        )
    except subprocess.SubprocessError:
        return False
    return True


def _account() -> Account:
    try:
        found = pwd.getpwnam(NAME)
    except KeyError:
        useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        made = useradd and subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin",
             "--user-group", NAME], capture_output=True, check=False,
        )  # fmt: skip
        if not made or made.returncode:
            raise NoUser(
                "PostgreSQL does not run as root, and here is neither a user namespace nor a way "
                "to add a user. Run this as an ordinary user, or set DATABASE_URL."
            ) from None
        found = pwd.getpwnam(NAME)
    return Account(found.pw_uid, found.pw_gid)
