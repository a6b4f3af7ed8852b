"""manage.py audit_events: docs/audit-events.md from the registry of acts."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from access.roles import ROLE_ACTS, WITNESS_ACTS
from audit.ledger.acts import REGISTRY, Act

HEAD = """# Events

Generated from `audit/ledger/acts.py` by `make docs`. One name is the verb, the permission and the
event. Severity is OCSF's: 1 informational, 2 low, 3 medium, 4 high.

| name | in words | severity | recorded | who may |
|---|---|---|---|---|
"""


def document() -> str:
    lines = []
    with translation.override("en"):
        for act in Act:
            entry = REGISTRY[act]
            roles = ", ".join(role.value for role, acts in ROLE_ACTS.items() if act in acts) or (
                "a witness" if act in WITNESS_ACTS else "the system itself"
            )
            recorded = "yes" if entry.recorded else "no, a permission only"
            lines.append(
                f"| `{act.value}` | {entry.sentence} | {entry.severity} | {recorded} | {roles} |"
            )
    return HEAD + "\n".join(lines) + "\n"


class Command(BaseCommand):
    help = "Write docs/audit-events.md, or check that it is as the code says."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        how = parser.add_mutually_exclusive_group(required=True)
        how.add_argument("--write", action="store_true")
        how.add_argument("--check", action="store_true")

    def handle(self, **options: Any) -> None:
        path = settings.BASE_DIR / "docs" / "audit-events.md"
        if options["write"]:
            path.write_text(document(), encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != document():
            raise CommandError("docs/audit-events.md is not as the code says. Run: make docs")
