"""manage.py erase: how far the erasures of people are; `--now` does at once what is due.

Erasing somebody is asked for on their page and needs a second person; this only looks and hurries.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from audit.office import erasures
from audit.office.models import Erasure


class Command(BaseCommand):
    help = "Show the erasures of people, one a line; --now does what is due."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--now", action="store_true", help="do what is due, here")

    def handle(self, **options: Any) -> None:
        if options["now"]:
            for person in erasures.after_restore():
                self.stdout.write(f"{person}  was erased before a restore; erased again")
            erasures.run()
        for row in Erasure.objects.all():
            kept = f"  {row.kept_for}, again at {row.due_at:%Y-%m-%d %H:%M}" if row.kept_for else ""
            self.stdout.write(
                f"{row.person_id}  {row.state}  events {row.events}  texts {row.contents}{kept}"
            )
