"""Asking a child to read a document: it is given the bytes and limits, and nothing is kept."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
from django.conf import settings

ROOT = Path(__file__).resolve().parent.parent.parent
MOST_RECORDS = 2_000
MOST_CHARACTERS = 1_000_000
# As many at once in one process of the console; whoever comes later waits a little.
AT_ONCE, PATIENCE_S = 2, 20.0
PIECE = 1024 * 1024
# JSON may write a character in twelve bytes, and a table's text is told twice.
MAX_ANSWER = MOST_CHARACTERS * 24 + PIECE
_places = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of a document: its text, or the code of a problem with its facts."""

    name: str
    size: int
    kind: str = ""
    text: str = ""
    texts: list[str] = field(default_factory=list)
    pages: int = 0
    encoding: str = ""
    without_text: list[int] = field(default_factory=list)
    problem: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix.lower()[:10]


def read(name: str, content: IO[bytes]) -> Reading:
    """The text of a document, by a child that may use so much memory and time, and no more."""
    with tempfile.TemporaryFile() as file:
        size = _spool(content, file)
        if size > settings.DOCUMENT_MAX_BYTES:
            return Reading(name, size, problem="too_large")
        if not _places.acquire(timeout=PATIENCE_S):
            return Reading(name, size, problem="busy")
        try:
            return Reading(name, size, **_ask(name, file))
        finally:
            _places.release()


def _spool(content: IO[bytes], file: IO[bytes]) -> int:
    """Copy to a file without a name; stops one piece after there is too much."""
    while piece := content.read(PIECE):
        file.write(piece)
        if file.tell() > settings.DOCUMENT_MAX_BYTES:
            break
    size = file.tell()
    file.seek(0)
    return size


def limits() -> dict[str, int]:
    return {
        "memory_bytes": settings.DOCUMENT_MEMORY_BYTES,
        "seconds": settings.DOCUMENT_SECONDS,
        "pages": settings.DOCUMENT_MAX_PAGES,
        "characters": MOST_CHARACTERS,
        "records": MOST_RECORDS,
    }


def _ask(name: str, file: IO[bytes]) -> dict[str, Any]:
    asked = orjson.dumps({"name": name[-100:], "limits": limits()}).decode()
    # Of the environment nothing: a program that hostile bytes took over finds no secret there.
    child = subprocess.Popen(
        [sys.executable, "-B", "-s", "-m", "deployments.documents.child", asked],
        cwd=ROOT, env={}, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    # CPU time is limited in the child; this is for one that sleeps, or waits for a busy machine.
    alarm = threading.Timer(settings.DOCUMENT_SECONDS * 6, child.kill)
    alarm.start()
    try:
        with child:
            assert child.stdout is not None  # noqa: S101  asked for above
            said = child.stdout.read(MAX_ANSWER + 1)
            if len(said) > MAX_ANSWER:
                child.kill()
    finally:
        alarm.cancel()
    return _heard(child.returncode, said)


def _heard(code: int, said: bytes) -> dict[str, Any]:
    if code < 0:
        # Killed: by the kernel for its time (SIGXCPU, then SIGKILL), or by us.
        return {"problem": "time"}
    try:
        found = orjson.loads(said)
    except orjson.JSONDecodeError:
        # It could not even say so: memory ran out in a place where Python cannot go on.
        return {"problem": "memory"}
    known = set(Reading.__dataclass_fields__) - {"name", "size"}
    return {key: value for key, value in found.items() if key in known}
