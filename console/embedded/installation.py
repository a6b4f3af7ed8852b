"""The data folder: its places and its secrets. Everything in it is 0700 or 0600."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from console.database import OWNER, SEALER, WEB

# A unix socket's path may have 107 bytes; the name that PostgreSQL appends has 18.
MAX_SOCKET_FOLDER = 85


class Installation:
    """The data folder of one embedded default."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.logs = self.data / "logs"
        self.postgres = self.data / "postgres"
        self.valkey = self.data / "valkey"
        self.ollama = self.data / "ollama"
        self.first_run = self.data / "first-run.json"
        self._secrets = self.data / "secrets"

    def create(self) -> None:
        """Make the folders. OSError when the place cannot be written."""
        self.data.mkdir(parents=True, exist_ok=True)
        places = (
            self.logs,
            self.valkey,
            self.ollama,
            self._secrets,
            self.sockets,
            self.data / "static",
        )
        for folder in places:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._own(self.sockets)
        if self.sockets.parent != self.data:
            self._socket_note.write_text(str(self.sockets))
        probe = self.data / ".writable"
        probe.write_bytes(b"")
        probe.unlink()

    @property
    def sockets(self) -> Path:
        """Where the engines' sockets are: in the data folder, or elsewhere if its path is long."""
        inside = self.data / "sockets"
        if len(os.fsencode(inside)) <= MAX_SOCKET_FOLDER:
            return inside
        # Remembered, because TMPDIR may be another one for the next command.
        with suppress(OSError):
            return Path(self._socket_note.read_text())
        mark = hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"fusebox-{os.getuid()}-{mark}"

    @property
    def _socket_note(self) -> Path:
        return self.data / "socket-folder"

    def _own(self, folder: Path) -> None:
        """Refuse a folder that somebody else laid there: under /tmp everybody may."""
        found = folder.lstat()
        # Without user namespaces PostgreSQL is another user's, and so are its sockets.
        ours = {os.geteuid()}
        if self.postgres.exists() and os.geteuid() == 0:
            ours.add(self.postgres.stat().st_uid)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
            raise PermissionError(errno.EPERM, f"{folder} belongs to somebody else")
        folder.chmod(0o700)

    def secret(self, name: str) -> str:
        """A random secret, made at its first use and kept in a file of mode 0600."""
        path = self._secrets / name
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            self._secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
            value = secrets.token_urlsafe(48)
            part = path.with_name(f"{name}.{os.getpid()}")
            part.touch(mode=0o600)
            part.write_text(value + "\n", encoding="ascii")
            # Of two that make it at once the first wins, and both read the same.
            with suppress(FileExistsError):
                path.hardlink_to(part)
            part.unlink()
            return path.read_text(encoding="ascii").strip()

    def database_url(self, role: str, database: str = "fusebox") -> str:
        return (
            f"postgresql://{role}:{quote(self.secret(f'db-{role}'), safe='')}@/{database}"
            f"?host={quote(str(self.sockets), safe='')}"
        )

    def environment(self) -> dict[str, str]:
        """What Django's settings read: the embedded engines of this folder."""
        return {
            "FUSEBOX_DATA": str(self.data),
            "FUSEBOX_SECRET_KEY": self.secret("secret-key"),
            "DATABASE_URL": self.database_url(WEB),
            "DATABASE_OWNER_URL": self.database_url(OWNER),
            "DATABASE_SEALER_URL": self.database_url(SEALER),
            "REDIS_URL": f"unix://{self.sockets}/valkey.sock",
            # Four accounts for looking around: production asks for a password of one's own.
            "FUSEBOX_ENFORCE_FIRST_PASSWORD_CHANGE": "false",
        }

    @contextmanager
    def locked(self, name: str, *, wait: bool, shared: bool = False) -> Iterator[bool]:
        """Hold a lock of this folder; yields whether it was had. It goes with the process."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        path = self.data / f"{name}.lock"
        with path.open("a") as file:
            try:
                fcntl.flock(file, kind | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True
