"""manage.py audit_witness: register, list and revoke witnesses of the log."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from audit.ledger.actor import Actor
from audit.office import actions
from audit.office.outside_models import Witness

ACTOR = Actor.system("audit_witness")


class Command(BaseCommand):
    help = "Register, list and revoke the witnesses that confirm heads of the log."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        register = commands.add_parser("register", help="prints its secret, once")
        register.add_argument("key", help="what `witness.py init` printed")
        revoke = commands.add_parser("revoke")
        revoke.add_argument("name")
        commands.add_parser("list")

    def handle(self, **options: Any) -> None:
        try:
            getattr(self, f"_{options['command']}")(options)
        except Refusal as error:
            raise CommandError(str(error)) from error

    def _register(self, options: dict[str, Any]) -> None:
        made, secret = actions.register_witness(actor=ACTOR, vkey=options["key"])
        self.stdout.write(f"{made.name} is registered. Its secret, shown once:\n{secret}")

    def _revoke(self, options: dict[str, Any]) -> None:
        found = Witness.objects.filter(name=options["name"], revoked_at=None).first()
        if found is None:
            raise CommandError(f"There is no witness {options['name']}.")
        actions.revoke_witness(actor=ACTOR, witness=found)

    def _list(self, options: dict[str, Any]) -> None:
        for found in Witness.objects.filter(revoked_at=None):
            told = f"{found.confirmed_at:%F %T} UTC" if found.confirmed_at else "never"
            self.stdout.write(f"{found.name}: {found.size} events, {told} {found.alarm}".rstrip())
