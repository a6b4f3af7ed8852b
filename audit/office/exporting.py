"""Exports in a worker: made beside, whole, and only then offered."""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

import psycopg
from django.conf import settings
from django.db import DatabaseError
from django.utils import translation

from audit.ledger.actor import Actor
from audit.ledger.check import Stopped
from audit.ledger.proofs import NotSealed
from audit.office import actions, runs
from audit.office.content import restricted
from audit.office.filters import Filter
from audit.office.models import Export, RunState

logger = logging.getLogger(__name__)


def run(pk: str) -> None:
    """Take up an export that nobody makes, and make it. Safe to call twice."""
    row = runs.take(Export, pk)
    if row is None:
        return
    path: Path = settings.EXPORTS / f"{row.pk}-{row.attempt}"
    part = path.with_suffix(".part")
    try:
        settings.EXPORTS.mkdir(mode=0o700, parents=True, exist_ok=True)
        with runs.beating(row), open(part, "w+b", opener=_private) as file:
            count = _write(row, file)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        part.rename(path)
        if not runs.finish(
            row, RunState.DONE, done=count, stored=path.name, size=size, sha256=sha256
        ):
            path.unlink(missing_ok=True)
    except Stopped:
        runs.finish(row, RunState.CANCELLED)
    except (psycopg.Error, DatabaseError, NotSealed) as error:
        runs.finish(row, RunState.FAILED, problem=str(error)[:500])
    except OSError as error:
        problem = f"the file cannot be written: {error.strerror}"
        runs.finish(row, RunState.FAILED, problem=problem)
    except Exception as error:
        # A format that fails would fail for ever: the row must not be taken up again and again.
        logger.exception("the export %s failed", row.pk)
        runs.finish(row, RunState.FAILED, problem=f"an error of ours: {type(error).__name__}")
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _write(row: Export, file: IO[bytes]) -> int:
    """The whole file; the number of its events."""
    wanted = Filter.parse(row.query)
    who, details = Actor.system("worker"), {"requested_by": row.requester_id, "export": str(row.pk)}
    tell = runs.Progress(row)
    if row.format == "bundle":
        made = actions.export_bundle(
            actor=who, wanted=wanted, target=file, details=details, progress=tell
        )
        return made.count
    # Whoever was erased before this one was taken up is not in it.
    restricted.forget()
    with translation.override(row.language):
        stream = actions.export(
            actor=who,
            wanted=wanted,
            format=row.format,
            details=details,
            folder=settings.EXPORTS,
            progress=tell,
        )
        Export.objects.filter(pk=row.pk).update(total=stream.count)
        for piece in stream:
            file.write(piece)
    return stream.count


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
