"""manage.py audit_export: the log as a file, from the machine itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from audit.ledger import sealer
from audit.ledger.actor import Actor
from audit.ledger.custody import Custody, CustodyBroken
from audit.ledger.leading import NotLeader
from audit.ledger.proofs import NotSealed
from audit.office import actions, formats
from audit.office.filters import Filter
from console.management.os_user import os_user

OPTIONS = {"start": "--from", "end": "--to", "format": "--format", "case": "--case"}


class Command(BaseCommand):
    help = "Export events, oldest first. The evidence is jsonl and bundle; the others are views."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="start", default="", help="first day or moment")
        parser.add_argument("--to", dest="end", default="", help="last day or moment, included")
        parser.add_argument("--case", default="", help="only what a case collects, by its id")
        parser.add_argument("--format", required=True, choices=[*formats.ALL, "bundle"])
        parser.add_argument("--output", required=True, help="a file, or - for standard output")

    def handle(self, **options: Any) -> None:
        try:
            with _whole(options["output"]) as file:
                count = self._write(file, options)
        except Refusal as error:
            option = OPTIONS.get(error.field, "")
            raise CommandError(f"{option} {error}".strip(), returncode=2) from error
        except NotSealed as error:
            raise CommandError(f"Nothing is exported: {error}") from error
        except psycopg.Error as error:
            raise CommandError(f"The export broke off, nothing is written: {error}") from error
        except OSError as error:
            raise CommandError(
                f"The export broke off: {options['output']} cannot be written: {error.strerror}"
            ) from error
        self.stderr.write(f"{count} events in {options['output']}")

    def _write(self, file: BinaryIO, options: dict[str, Any]) -> int:
        if options["format"] == "bundle":
            return self._bundle(file, options)
        stream = actions.export(
            actor=Actor.system("audit_export"),
            wanted=_wanted(options),
            format=options["format"],
            details={"os_user": os_user()},
        )
        for piece in stream:
            file.write(piece)
        return stream.count

    def _certificate(self, output: str) -> None:
        """For verifying on this machine: this installation's own certificate, beside the bundle."""
        own = settings.LOG_CERTIFICATE
        if not own.is_file():
            return
        beside = Path(output).absolute().parent / own.name
        if output != "-" and not beside.exists():
            shutil.copyfile(own, beside)
        self.stderr.write(f"Whoever verifies elsewhere needs {own} by another way than the bundle.")

    def _bundle(self, file: BinaryIO, options: dict[str, Any]) -> int:
        """An archive is written back and forth, which standard output cannot be."""
        _seal_here()
        with tempfile.TemporaryFile() as place:
            made = actions.export_bundle(
                actor=Actor.system("audit_export"),
                wanted=_wanted(options),
                target=place,
                details={"os_user": os_user()},
            )
            place.seek(0)
            shutil.copyfileobj(place, file)
        self.stderr.write(f"manifest sha256 {made.manifest_hash}")
        self._certificate(options["output"])
        return made.count


def _seal_here() -> None:
    """Where the console is stopped and the sealer's files are at hand, seal what waits first."""
    custody = Custody(settings.SEALER_DIR, settings.LOG_CERTIFICATE)
    if not settings.SEALER_DATABASE_URL or not custody.head_file.is_file():
        return
    log = sealer.log_of(settings.FUSEBOX_LOG_ORIGIN, settings.LOG_HASH)
    with contextlib.suppress(NotLeader, CustodyBroken, psycopg.Error):
        sealer.seal_once(settings.SEALER_DATABASE_URL, custody, log)


def _wanted(options: dict[str, Any]) -> Filter:
    return Filter.parse({name: options[name] for name in ("start", "end", "case")})


@contextlib.contextmanager
def _whole(output: str) -> Iterator[BinaryIO]:
    """A file that appears under its name, readable by its owner only, when it is whole."""
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output).absolute()
    try:
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        # It cannot begin; whatever fails after this breaks it off.
        raise CommandError(f"{output} cannot be written: {error.strerror}", returncode=2) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
