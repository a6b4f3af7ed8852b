"""Signed heads as files in a folder that keeps them: a WORM mount, a USB stick, another machine.

Every head is a file of its own, made once, written to disk and never touched again.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.ledger.models import Checkpoint
from audit.office.models import OutsideCopy
from audit.office.outside.sink import Sink, SinkDown

BATCH = 200


class Folder(Sink):
    name = "folder"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.address = str(path)

    def look(self, copy: OutsideCopy) -> None:
        """The folder is a folder, may be written to, and still has the newest head we gave it."""
        with self._opened() as folder:
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder):
                raise SinkDown(f"{self._path} may not be written to")
            newest = Checkpoint.objects.filter(tree=copy.tree, size=copy.size).first()
            if newest is not None and copy.confirmed_at and not _holds(folder, newest):
                raise SinkDown(f"{_name(newest)} is no longer in {self._path}, or was changed")

    def send(self, copy: OutsideCopy) -> OutsideCopy | None:
        """All heads after the newest that is there, in their order."""
        since = Checkpoint.objects.filter(tree=copy.tree, size__gt=copy.size)
        heads = list(since.order_by("size", "pk")[:BATCH])
        if not heads:
            later = Checkpoint.objects.filter(tree__gt=copy.tree).order_by("tree", "size").first()
            if later is None:
                return None
            heads = [later]
        with self._opened() as folder:
            for head in heads:
                _write(folder, head)
            os.fsync(folder)
        copy.tree, copy.size = heads[-1].tree, heads[-1].size
        copy.position = copy.size
        return copy

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder itself: a link in its place is not it. What fails in it is SinkDown."""
        try:
            folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                yield folder
            finally:
                os.close(folder)
        except OSError as error:
            raise SinkDown(f"{self._path}: {error.strerror}") from error


def _name(head: Checkpoint, again: int = 0) -> str:
    """Sorted by name they are in their order."""
    return f"checkpoint-{head.tree:05}-{head.size:018}{f'-{again}' if again else ''}.txt"


def _holds(folder: int, head: Checkpoint) -> bool:
    return any(_content(folder, _name(head, again)) == head.note.encode() for again in range(10))


def _write(folder: int, head: Checkpoint) -> None:
    """A new file; one that is there already and differs (a torn write, a forgery) is left alone."""
    data = head.note.encode()
    for again in range(10):
        name = _name(head, again)
        try:
            file = os.open(
                name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o444, dir_fd=folder
            )
        except FileExistsError:
            if _content(folder, name) == data:
                return
            continue
        try:
            if os.write(file, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        finally:
            os.close(file)
        return
    raise OSError(0, f"{_name(head)} is there ten times and never as it was signed")


def _content(folder: int, name: str) -> bytes | None:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    try:
        plain = stat.S_ISREG(os.fstat(file).st_mode)
        return os.read(file, 1 << 16) if plain else None
    finally:
        os.close(file)
