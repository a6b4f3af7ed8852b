"""`manage.py add_person NAME --role security`: the first accounts of an empty installation."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from access import actions
from access.errors import Refusal
from access.roles import Role
from audit.ledger.actor import Actor


class Command(BaseCommand):
    help = "Make an account and print its one-time password. Later ones are made in the console."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", choices=Role.values, default=Role.MEMBER.value)
        parser.add_argument("--name", default="", help="the name that others see")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user, password = actions.create_user(
                actor=Actor.system("manage.py"),
                username=options["username"],
                display_name=options["name"],
                role=options["role"],
            )
        except Refusal as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{user.username}  {password}")
