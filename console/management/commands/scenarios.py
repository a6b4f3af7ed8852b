"""manage.py scenarios list|check|copy: the ready recipes for jobs, as files."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from deployments import scenarios


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

    def handle(self, **options: Any) -> None:
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
