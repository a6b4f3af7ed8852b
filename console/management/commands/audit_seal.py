"""manage.py audit_seal: the sealer of the audit log, a process of its own.

It signs in under the role fusebox_sealer and keeps its key and its record of the last head in
FUSEBOX_SEALER_DIR, which no other process needs to read.
"""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from audit.ledger import sealer
from audit.ledger.connection import conninfo
from audit.ledger.custody import Custody, CustodyBroken
from audit.ledger.models import Sealer, SealerState
from audit.ledger.sealing import Log
from audit.office.models import SILENT


class Command(BaseCommand):
    help = "Seal the audit log until stopped. One seals at a time; others stand by."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        once = parser.add_mutually_exclusive_group()
        once.add_argument("--once", action="store_true", help="seal what waits, sign, and end")
        once.add_argument("--check", action="store_true", help="end with 0 if a sealer is at work")

    def handle(self, **options: Any) -> None:
        if options["check"]:
            return self._check()
        custody = Custody(settings.SEALER_DIR, settings.LOG_CERTIFICATE)
        log = sealer.log_of(settings.FUSEBOX_LOG_ORIGIN, settings.LOG_HASH)
        try:
            if options["once"]:
                self._once(custody, log)
            else:
                self._serve(custody, log)
        except (CustodyBroken, OSError) as error:
            raise CommandError(f"Nothing is signed: {error}") from error
        except psycopg.Error as error:
            raise CommandError(f"The log cannot be sealed: {error}") from error
        return None

    def _check(self) -> None:
        """For health checks: whether a sealer, this one or another, was heard of just now."""
        sealer = Sealer.objects.first()
        if sealer is None or timezone.now() - sealer.beat_at > SILENT:
            raise CommandError("No sealer was heard of in the last minute.")
        if sealer.state != SealerState.SEALING:
            raise CommandError(sealer.problem)

    def _serve(self, custody: Custody, log: Log) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        sealer.run(conninfo(), custody, log, stop)

    def _once(self, custody: Custody, log: Log) -> None:
        sealer.seal_once(conninfo(), custody, log)
