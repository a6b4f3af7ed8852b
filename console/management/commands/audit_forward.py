"""manage.py audit_forward: copies of the log outside the house, kept up to date.

It signs in as the console does, which may only read what was sealed. Where to: FUSEBOX_SYSLOG_URL,
FUSEBOX_CHECKPOINT_DIR, FUSEBOX_TSA_URL.
"""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from audit.office.models import OutsideCopy
from audit.office.outside import forwarder
from audit.office.outside.sink import SinkDown


class Command(BaseCommand):
    help = (
        "Forward sealed events over TLS, drop signed heads into a folder and have them "
        "time-stamped, until stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        once = parser.add_mutually_exclusive_group()
        once.add_argument("--once", action="store_true", help="forward what waits, and end")
        once.add_argument("--check", action="store_true", help="end with 0 if all copies are kept")
        once.add_argument(
            "--again-from",
            type=int,
            metavar="POSITION",
            help="have the SIEM sent everything from a position on once more",
        )

    def handle(self, **options: Any) -> None:
        try:
            sinks = forwarder.configured()
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from error
        if not sinks:
            raise CommandError(
                "Set FUSEBOX_SYSLOG_URL, FUSEBOX_CHECKPOINT_DIR or FUSEBOX_TSA_URL.", returncode=2
            )
        try:
            if options["check"]:
                return self._check()
            if options["again_from"] is not None:
                return self._again(options["again_from"])
            if options["once"]:
                for sink in sinks:
                    while forwarder.turn(sink):
                        pass
                return None
        except (SinkDown, DatabaseError) as error:
            raise CommandError(str(error)) from error
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        return forwarder.run(sinks, stop)

    def _check(self) -> None:
        for copy in OutsideCopy.objects.all():
            if copy.problem or copy.is_silent:
                raise CommandError(copy.problem or f"{copy.name} is not tended")

    def _again(self, position: int) -> None:
        if position < 0 or not OutsideCopy.objects.filter(name="siem").update(position=position):
            raise CommandError("There is no such position, or nothing was forwarded yet.")
        self.stdout.write(f"What was sealed from position {position} on is sent again.")
