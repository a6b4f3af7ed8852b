"""The keys of captured content: files in a folder of their own, outside the database.

One key a day, deployment and person. Backups of the database do not have them, so what a key is
destroyed for is unreadable in every backup, too. This folder must not be backed up with the
database, and its own backups must not outlive the content (docs/captured-content.md).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID

from audit.office.content.cipher import KEY_BYTES, new_key

ERASED = "erased"


class KeyGone(Exception):
    """There is no such key: it was destroyed, or the folder is not the one it was made in."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What one key is for. `person` is the id of an account, of people or of an application."""

    day: date
    deployment: UUID
    person: UUID

    @property
    def path(self) -> Path:
        return Path(self.day.isoformat(), str(self.deployment), f"{self.person}.key")


class KeyFolder:
    """The folder, for whoever writes (gateways) and reads (the console) content, on every host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ready(self) -> bool:
        """Whether keys can be made here."""
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.access(self.folder, os.R_OK | os.W_OK | os.X_OK)
        return False

    def made(self, scope: Scope) -> bytes:
        """The key, made at its first use and on the disk when this returns. Raises KeyGone for a
        person who was erased, OSError when the folder cannot be used."""
        if self._tomb(scope.person).exists():
            raise KeyGone("this person was erased")
        path = self.folder / scope.path
        with suppress(FileNotFoundError):
            return _read(path)
        for folder in (self.folder, path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        _write(part, new_key())
        # Of several gateways that make it at once the first wins, and all use the same.
        with suppress(FileExistsError):
            path.hardlink_to(part)
        part.unlink()
        for folder in (path.parent, path.parent.parent, self.folder):
            _sync(folder)
        return _read(path)

    def get(self, scope: Scope) -> bytes:
        """The key as it is. Raises KeyGone."""
        try:
            return _read(self.folder / scope.path)
        except FileNotFoundError as error:
            raise KeyGone(str(scope.path)) from error

    def destroy(self, scope: Scope) -> bool:
        """Overwrite and remove the key; False when there was none."""
        return _destroy(self.folder / scope.path)

    def bury(self, person: UUID) -> None:
        """Remember that this person was erased: no database that is older brings them back."""
        tombs = self.folder / ERASED
        tombs.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self._tomb(person), b"")
        _sync(tombs)

    def destroy_person(self, person: UUID, *, but: Collection[Scope] = ()) -> int:
        """Every key of a person `but` some; none is ever made for them again. Safe to repeat."""
        self.bury(person)
        gone = [scope for scope in self.scopes(person) if scope not in but]
        return sum(_destroy(self.folder / scope.path) for scope in gone)

    def scopes(self, person: UUID | None = None) -> Iterator[Scope]:
        """The keys that there are, of one person or of all."""
        pattern = f"????-??-??/*/{person or '*'}.key"
        for path in sorted(self.folder.glob(pattern)):
            with suppress(ValueError):
                day, deployment = path.parts[-3:-1]
                yield Scope(date.fromisoformat(day), UUID(deployment), UUID(path.stem))

    def erased(self) -> set[UUID]:
        """Whom somebody erased; a database restored from an older backup may not know."""
        found = set()
        with suppress(FileNotFoundError):
            for path in (self.folder / ERASED).iterdir():
                with suppress(ValueError):
                    found.add(UUID(path.name))
        return found

    def _tomb(self, person: UUID) -> Path:
        return self.folder / ERASED / str(person)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise KeyGone(f"{path.name} is no key")
    return key


def _write(path: Path, data: bytes, flags: int = os.O_CREAT) -> None:
    descriptor = os.open(path, os.O_WRONLY | flags, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _destroy(path: Path) -> bool:
    try:
        _write(path, bytes(KEY_BYTES), flags=0)
        path.unlink()
    except FileNotFoundError:
        return False
    _sync(path.parent)
    for folder in (path.parent, path.parent.parent):
        with suppress(OSError):
            folder.rmdir()
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
