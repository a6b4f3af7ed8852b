"""manage.py scenarios list|check|copy|try: the ready recipes for jobs, as files."""

from __future__ import annotations

import shutil
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from audit.ledger.actor import Actor
from console.management.names import model_of
from deployments import actions, scenarios, trials
from deployments.models import OperationState

ACTOR = Actor.system("manage.py scenarios")
LOOK_S = 0.5


class Command(BaseCommand):
    help = "Show the scenarios, look whether your own can be read, copy one to change it."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("list", help="every scenario")
        what.add_parser("check", help="read every file; exit code 1 when one cannot be read")
        copy = what.add_parser("copy", help="copy one into your own folder, to change it there")
        copy.add_argument("name", help="the scenario's key")
        copy.add_argument("--to", metavar="NAME", help="its new key; the same takes its place")

        asked = what.add_parser("try", help="ask its samples of models; shows the figures")
        asked.add_argument("name", help="the scenario's key")
        asked.add_argument("--model", action="append", required=True, help="again for more")
        asked.add_argument("--language", choices=scenarios.LANGUAGES, default="en")

    def handle(self, **options: Any) -> None:
        if options["what"] == "try":
            self._try(options)
            return
        found = scenarios.catalogue()
        if options["what"] == "copy":
            self._copy(options["name"], options["to"] or options["name"])
            return
        for scenario in found.scenarios.values():
            own = "  own" if scenario.own else ""
            self.stdout.write(f"{scenario.key}  {scenario.size}  {scenario.en.title}{own}")
        for name, problem in found.broken.items():
            self.stderr.write(f"{name}: {problem}")
        if options["what"] == "check" and found.broken:
            raise CommandError(f"{len(found.broken)} cannot be read.", returncode=1)

    def _try(self, options: dict[str, Any]) -> None:
        """Waits for the end, as workers come to it; Ctrl-C leaves it running."""
        try:
            operation = actions.try_scenario(
                actor=ACTOR,
                scenario=options["name"],
                language=options["language"],
                models=[model_of(each) for each in options["model"]],
            )
        except Refusal as error:
            raise CommandError(str(error), returncode=2) from error
        while not operation.is_final:
            time.sleep(LOOK_S)
            operation.refresh_from_db()
        found = trials.tried(operation.result)
        proposed = trials.proposal(found)
        for each in found:
            self.stdout.write(
                f"{each.model}  {each.node or '-'}  passed {each.passed}/{each.asked}  "
                f"first byte {each.first_ms} ms  whole {each.total_ms} ms  {each.rate} tokens/s  "
                f"{each.memory / 1e6:.0f} MB  {each.problem}".rstrip()
            )
        self.stdout.write(f"proposed: {proposed.model if proposed else 'none passed'}")
        if operation.state != OperationState.SUCCEEDED:
            raise CommandError(operation.problem or operation.state, returncode=1)

    def _copy(self, key: str, to: str) -> None:
        scenario = scenarios.get(key)
        if scenario is None:
            raise CommandError(f"There is no scenario {key}.", returncode=2)
        if not scenarios.KEY.match(to):
            raise CommandError("A key has small letters, digits and hyphens.", returncode=2)
        path = settings.SCENARIOS / f"{to}.toml"
        if path.exists():
            raise CommandError(f"{path} is there already.", returncode=2)
        settings.SCENARIOS.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(scenario.path(), path)
        self.stdout.write(str(path))
