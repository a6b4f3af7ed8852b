"""manage.py audit_verify [BUNDLE]: is the log what was signed, and is all of it there?

Exit codes: 0 fine, 1 tampered, 2 incomplete or rolled back, 3 cannot verify, 4 bad input.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connection

from audit.ledger.actor import Actor
from audit.ledger.certificate import Certificate, NotTrusted, read_certificate
from audit.ledger.custody import Custody, CustodyBroken
from audit.ledger.note import read_checkpoint, split_note
from audit.ledger.report import BAD_INPUT, CANNOT
from audit.office import actions, outside_heads, verifying
from audit.office.verifier import verify
from console.management.os_user import os_user

MAX_NOTE_BYTES = 16 * 1024


class Command(BaseCommand):
    help = "Verify the live audit log, or an exported bundle."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("bundle", nargs="?", help="a bundle; without one, the live log")
        parser.add_argument(
            "--since-last", action="store_true", help="only what the last verification has not seen"
        )
        parser.add_argument(
            "--bytes-only", action="store_true",
            help="what is sealed, and not what events are found by: less than half of the time",
        )  # fmt: skip
        parser.add_argument(
            "--checkpoint", action="append", default=[], metavar="FILE",
            help="a checkpoint that was kept outside; may be given several times",
        )  # fmt: skip
        parser.add_argument("--certificate", default="", help="default: this installation's own")

    def handle(self, **options: Any) -> None:
        if options["bundle"]:
            sys.exit(self._bundle(options))
        sys.exit(self._live(options))

    def _bundle(self, options: dict[str, Any]) -> int:
        path = _certificate_path(options)
        arguments = [options["bundle"], "--forget"]
        if path.is_file():
            arguments += ["--certificate", str(path)]
        code: int = verify.main(arguments)  # type: ignore[no-untyped-call]
        if code != BAD_INPUT and settings.TSA_CA:
            for line in outside_heads.archived_stamps(Path(options["bundle"])):
                self.stdout.write(line)
        return code

    def _live(self, options: dict[str, Any]) -> int:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '30s'")
            report = actions.verify(
                actor=Actor.system("audit_verify"),
                certificate=self._certificate(options),
                since_last=options["since_last"],
                bytes_only=options["bytes_only"],
                outside=[*_own_head(), *map(_note, options["checkpoint"])],
                details={"os_user": os_user()},
            )
        except (psycopg.Error, Error) as error:
            raise CommandError(f"The log cannot be read: {error}", returncode=CANNOT) from error
        verifying.keep(
            report,
            since_last=options["since_last"],
            requester=f"manage.py audit_verify ({os_user()})",
        )
        for line in report.lines():
            self.stdout.write(line)
        return report.exit_code

    def _certificate(self, options: dict[str, Any]) -> Certificate | None:
        try:
            return read_certificate(_certificate_path(options))
        except NotTrusted as error:
            if options["certificate"]:
                raise CommandError(str(error), returncode=BAD_INPUT) from error
            self.stderr.write(str(error))
            return None


def _certificate_path(options: dict[str, Any]) -> Path:
    return Path(options["certificate"]) if options["certificate"] else settings.LOG_CERTIFICATE


def _own_head() -> list[str]:
    """The sealer's own record, where this command may read it."""
    try:
        head = Custody(settings.SEALER_DIR).head()
    except CustodyBroken:
        return []
    return [head.note] if head and head.note else []


def _note(name: str) -> str:
    try:
        data = Path(name).read_bytes()
        if len(data) > MAX_NOTE_BYTES:
            raise ValueError("it is too long")
        note = data.decode()
        read_checkpoint(split_note(note)[0])
        return note
    except (OSError, ValueError) as error:
        raise CommandError(f"{name} is no checkpoint: {error}", returncode=BAD_INPUT) from error
