"""manage.py retention show|holds|run: how long events are kept, what is held, and a run by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from audit.ledger.actor import Actor
from audit.office import actions, retention
from audit.office.models import Hold
from console.management.os_user import os_user


class Command(BaseCommand):
    help = "Show the policy and the holds; remove now what the policy lets go."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=("show", "holds", "run"))

    def handle(self, **options: Any) -> None:
        try:
            getattr(self, f"_{options['what']}")()
        except (ImproperlyConfigured, Refusal) as error:
            raise CommandError(str(error), returncode=2) from error

    def _show(self) -> None:
        rule, found = retention.policy(), retention.preview()
        self.stdout.write(f"days          {rule.days} (never less than {retention.floor()})")
        least = retention.OUTSIDE_FLOOR
        self.stdout.write(f"outside days  {rule.outside_days} (never less than {least})")
        more = "more than " if found.capped else ""
        self.stdout.write(f"next run      {more}{found.count} events; held: {found.held}")

    def _holds(self) -> None:
        for row in Hold.objects.filter(released_at=None):
            span = f"{row.from_at} to {row.to_at}" if row.from_at else row.label or row.value
            self.stdout.write(f"{row.pk}  {row.kind}  {span}  {row.reason}")

    def _run(self) -> None:
        total, actor = 0, Actor.system(f"manage.py retention by {os_user()}")
        while count := actions.prune(actor=actor):
            total += count
        self.stdout.write(f"{total} events were removed")
