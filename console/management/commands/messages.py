"""manage.py messages: collect texts, check that none is missing, compile. Needs no gettext."""

from __future__ import annotations

import io
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation.template import templatize

ROOMS = ("access", "audit", "console", "deployments", "gateway")
KEYWORDS = {
    "_": None, "gettext": None, "gettext_lazy": None, "gettext_noop": None,
    "ngettext": (1, 2), "ngettext_lazy": (1, 2), "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}  # fmt: skip
LOCALE = "zh_Hans"
CALL = re.compile(r"""\b_?(?:n?p?gettext)?\((?:[^()'"]|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")+\)""")


class Command(BaseCommand):
    help = "Bring the Chinese catalogue up to date, check it, or compile it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--check", action="store_true", help="fail when a translation is missing")
        how.add_argument("--compile", action="store_true", help="write the .mo that Django reads")

    def handle(self, **options: Any) -> None:
        path = settings.BASE_DIR / "console" / "locale" / LOCALE / "LC_MESSAGES" / "django.po"
        catalog = read(path)
        if options["compile"]:
            with path.with_suffix(".mo").open("wb") as file:
                write_mo(file, catalog)
            return
        template = collect(settings.BASE_DIR)
        if options["check"]:
            check(catalog, template)
            return
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write_po(file, catalog, sort_output=True, no_location=True, width=100)
        missing = [m.id for m in catalog if m.id and not m.string]
        self.stdout.write(f"{len(catalog)} texts, {len(missing)} without a translation")


def read(path: Path) -> Catalog:
    if not path.exists():
        return Catalog(locale=LOCALE, project="Fusebox", charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=LOCALE)


def collect(root: Path) -> Catalog:
    """Every text of Python and templates."""
    catalog = Catalog(locale=LOCALE, project="Fusebox", charset="utf-8")
    for message, comments, context in _messages(root):
        catalog.add(message, auto_comments=comments, context=context)
    return catalog


def check(catalog: Catalog, template: Catalog) -> None:
    """Raise unless the catalogue has exactly the texts of the code, each translated."""
    wanted = {m.id for m in template if m.id}
    have = {m.id: m for m in catalog if m.id}
    problems = [f"not in the catalogue: {i}" for i in wanted - have.keys()]
    problems += [f"no longer used: {i}" for i in have.keys() - wanted]
    for i in wanted & have.keys():
        string = have[i].string
        strings = string if isinstance(string, tuple | list) else [string]
        if not all(strings) or have[i].fuzzy:
            problems.append(f"not translated: {i}")
        problems += [f"{error}: {i}" for error in have[i].check()]
    if problems:
        raise CommandError("\n".join([*map(str, problems), "Run: make messages"]))


def _messages(root: Path) -> Iterator[tuple[Any, list[str], str | None]]:
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            if "migrations" not in path.parts:
                yield from _extract(path.read_bytes())
    for path in sorted((root / "templates").rglob("*.html")):
        code = templatize(path.read_text(encoding="utf-8"), origin=str(path))
        # What surrounds the calls is no Python: only the calls are kept, one a line.
        yield from _extract("\n".join(m[0] for m in CALL.finditer(code)).encode())


def _extract(source: bytes) -> Iterator[tuple[Any, list[str], str | None]]:
    for _line, message, comments, context in extract(
        "python", io.BytesIO(source), KEYWORDS, options={"encoding": "utf-8"}
    ):
        yield message, comments, context
