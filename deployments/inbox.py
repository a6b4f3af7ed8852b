"""Where uploads wait on disk: `UPLOADS/<upload>/<file>`, called by their keys, never by the names
that people gave them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from django.conf import settings

from deployments.models import Upload, UploadedFile

RESERVE_BYTES = 1_000_000_000


def folder(upload: Upload) -> Path:
    place: Path = settings.UPLOADS / str(upload.pk)
    return place


def path_of(file: UploadedFile) -> Path:
    return folder(file.upload) / str(file.pk)


def has_room(size: int) -> bool:
    """Whether so much more fits, and something is left for others."""
    settings.UPLOADS.mkdir(mode=0o700, parents=True, exist_ok=True)
    return shutil.disk_usage(settings.UPLOADS).free > size + RESERVE_BYTES


def write(file: UploadedFile, offset: int, chunk: bytes) -> None:
    """Put a chunk at its place and on the disk. What lay beyond it from a broken try is cut off."""
    folder(file.upload).mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path_of(file), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(handle, offset)
        done = 0
        while done < len(chunk):
            done += os.pwrite(handle, chunk[done:], offset + done)
        os.fsync(handle)
    finally:
        os.close(handle)


def forget(upload: Upload) -> None:
    shutil.rmtree(folder(upload), ignore_errors=True)
