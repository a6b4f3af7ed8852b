"""manage.py operation list|show|cancel|retry: long work by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from access.said import from_json
from audit.ledger.actor import Actor
from deployments import actions
from deployments.models import Operation

ACTOR = Actor.system("manage.py operation")
SHOWN = 50


class Command(BaseCommand):
    help = "Show long work, cancel it, try it again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("list", help="the newest operations")
        for name in ("show", "cancel", "retry"):
            what.add_parser(name).add_argument("id", type=UUID)

    def handle(self, **options: Any) -> None:
        if options["what"] == "list":
            for row in Operation.objects.select_related("node")[:SHOWN]:
                self.stdout.write(_line(row))
            return
        operation = Operation.objects.select_related("node").filter(pk=options["id"]).first()
        if operation is None:
            raise CommandError("There is no such operation.")
        try:
            self._do(options["what"], operation)
        except Refusal as error:
            raise CommandError(str(error), returncode=2) from error

    def _do(self, what: str, operation: Operation) -> None:
        if what == "cancel":
            operation = actions.cancel_operation(actor=ACTOR, operation=operation)
        elif what == "retry":
            operation = actions.retry_operation(actor=ACTOR, operation=operation)
        self.stdout.write(_line(operation))
        if what == "show":
            for entry in operation.log:
                self.stdout.write(f"{entry['at']} {entry['step']:<9} {from_json(entry['text'])}")
            if operation.problem:
                self.stdout.write(str(operation.problem))


def _line(operation: Operation) -> str:
    state = "stopping" if operation.is_stopping else operation.state
    percent = f" {operation.percent} %" if operation.percent is not None else ""
    node = operation.node.name if operation.node else "-"
    return f"{operation.pk}  {state}{percent}  {operation.kind}  {operation.subject}  {node}"
