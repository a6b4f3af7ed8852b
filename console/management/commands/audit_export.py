"""manage.py audit_export: the log as a file, from the machine itself."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from audit.ledger.actor import Actor
from audit.office import actions
from audit.office.search import Filter

LATER = ("xlsx", "ocsf", "cef", "bundle")


class Command(BaseCommand):
    help = "Export events. JSON Lines are the canonical bytes; CSV is for people."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="start", default="", help="first day or moment, ISO 8601"
        )
        parser.add_argument("--to", dest="end", default="", help="last day or moment, ISO 8601")
        parser.add_argument("--format", required=True, choices=["jsonl", "csv", *LATER])
        parser.add_argument("--output", required=True, help="a file, or - for standard output")

    def handle(self, **options: Any) -> None:
        if options["format"] in LATER:
            raise CommandError(
                f"The format {options['format']} is not available yet; use jsonl or csv.",
                returncode=2,
            )
        try:
            wanted = Filter.parse({"start": options["start"], "end": options["end"]})
            export = actions.export(
                actor=Actor.system("audit_export"),
                wanted=wanted,
                format=options["format"],
                details={"os_user": _os_user()},
            )
        except Refusal as error:
            raise CommandError(f"{error.field}: {error}", returncode=2) from error
        if options["output"] == "-":
            for chunk in export.chunks:
                sys.stdout.buffer.write(chunk)
            return
        path = Path(options["output"])
        part = path.with_name(f"{path.name}.part")
        try:
            self._write(part, export)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise CommandError(
                f"{path} cannot be written: {error.strerror}", returncode=2
            ) from error
        self.stderr.write(f"{export.count} events in {path}")

    def _write(self, part: Path, export: actions.Export) -> None:
        """Whole or not at all: the file gets its name when its last byte is on the disk."""
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in export.chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
