"""manage.py evidence --framework NAME: what this installation answers to each clause, as JSON."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from audit.ledger.actor import Actor
from audit.office import actions
from audit.office.evidence import paper
from audit.office.evidence.pack import FRAMEWORKS


class Command(BaseCommand):
    help = "Print the evidence pack of a framework as JSON, or write it as PDF."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--framework", required=True, choices=FRAMEWORKS)
        parser.add_argument("--language", default="en", choices=["en", "zh-hans"])
        parser.add_argument("--pdf", metavar="FILE", help="on paper, in both languages")

    def handle(self, **options: Any) -> None:
        made = actions.make_evidence(actor=Actor.system("evidence"), framework=options["framework"])
        if options["pdf"]:
            try:
                Path(options["pdf"]).write_bytes(paper.print_pack(made))
            except OSError as error:
                raise CommandError(f"{options['pdf']} cannot be written: {error}") from error
            return
        with translation.override(options["language"]):
            told = made.as_json()
        self.stdout.write(json.dumps(told, ensure_ascii=False, indent=1))
