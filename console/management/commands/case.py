"""manage.py case list|open|add|note|close: cases by hand; `audit_export --case` hands one over."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from audit.ledger.actor import Actor
from audit.office import actions
from audit.office.models import Case

ACTOR = Actor.system("manage.py case")
SHOWN = 100


class Command(BaseCommand):
    help = "Show cases, open one, add events and notes, close it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("list", help="the cases, newest first")
        what.add_parser("open", help="a new case; prints its id").add_argument("title")
        adding = what.add_parser("add", help="add events to it")
        adding.add_argument("id")
        adding.add_argument("events", nargs="+", type=UUID)
        noting = what.add_parser("note", help="write a note on it")
        noting.add_argument("id")
        noting.add_argument("text")
        what.add_parser("close", help="close it").add_argument("id")

    def handle(self, **options: Any) -> None:
        try:
            self._do(options)
        except Refusal as error:
            raise CommandError(str(error), returncode=2) from error

    def _do(self, options: dict[str, Any]) -> None:
        what = options["what"]
        if what == "list":
            for case in Case.objects.all()[:SHOWN]:
                self.stdout.write(f"{case.pk}  {case.state}  {case.items.count()}  {case.title}")
        elif what == "open":
            self.stdout.write(str(actions.open_case(actor=ACTOR, title=options["title"]).pk))
        elif what == "add":
            actions.add_to_case(actor=ACTOR, case=_case(options["id"]), events=options["events"])
        elif what == "note":
            actions.note_case(actor=ACTOR, case=_case(options["id"]), text=options["text"])
        else:
            actions.close_case(actor=ACTOR, case=_case(options["id"]))


def _case(pk: str) -> Case:
    try:
        case = Case.objects.filter(pk=pk).first()
    except ValidationError:
        case = None
    if case is None:
        raise CommandError("There is no such case; `case list` shows them.")
    return case
