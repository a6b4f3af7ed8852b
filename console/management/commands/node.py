"""manage.py node list|add|update|cordon|uncordon|drain|refresh|remove: the machines by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from audit.ledger.actor import Actor
from console.management.names import node_named
from deployments import actions, alarming
from deployments.connection import read_headers
from deployments.models import Node

ACTOR = Actor.system("manage.py node")
# What is read from a file: certificates, and headers as lines of "Name: value".
FILES = ("headers", "ca", "client_certificate", "client_key")
# Option -> field of the verb, where it was given.
FIELDS = {
    "rename": "name",
    "url": "url",
    "label": "labels",
    "metrics": "exporter_url",
    "request_log_off": "request_log_off",
    "memory": "memory_declared",
}


class Command(BaseCommand):
    help = "Show the nodes, add one, take one out of service and back, forget one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("list", help="every node as it was seen last")
        for name in ("add", "update", "cordon", "uncordon", "drain", "refresh", "remove"):
            what.add_parser(name).add_argument("name", help="a node, by name")
        what.choices["add"].add_argument("--url", required=True, help="where Ollama answers")
        what.choices["update"].add_argument("--url")
        what.choices["update"].add_argument("--rename", metavar="NAME")
        for name in ("add", "update"):
            what.choices[name].add_argument("--label", action="append", help="again for more")
            what.choices[name].add_argument("--metrics", help="where its exporter answers")
            what.choices[name].add_argument("--memory", type=int, help="for models, in bytes")
            for file in FILES:
                option = f"--{file.replace('_', '-')}"
                what.choices[name].add_argument(option, type=Path, metavar="FILE")
            what.choices[name].add_argument(
                "--server",
                action="append",
                metavar="SETTING=VALUE",
                help="how its Ollama is set: parallel=4, cache_type=q8_0, at_once=1",
            )
            what.choices[name].add_argument(
                "--request-log-off",
                action="store_true",
                default=None,
                help="you looked: OLLAMA_DEBUG_LOG_REQUESTS is not set there",
            )

    def handle(self, **options: Any) -> None:
        try:
            self._do(options)
        except Refusal as error:
            raise CommandError(str(error), returncode=2) from error

    def _do(self, options: dict[str, Any]) -> None:
        what = options["what"]
        if what == "list":
            for node in Node.objects.all():
                self.stdout.write(_line(node))
            return
        fields = {field: options[o] for o, field in FIELDS.items() if options.get(o) is not None}
        fields |= {name: _read(options[name]) for name in FILES if options.get(name)}
        if isinstance(fields.get("headers"), str):
            fields["headers"] = read_headers(fields["headers"])
        if options.get("server") is not None:
            fields["server"] = dict(pair.partition("=")[::2] for pair in options["server"])
        if what == "add":
            node = actions.register_node(actor=ACTOR, **{"name": options["name"], **fields})
            self.stdout.write(_line(node))
            return
        node = node_named(options["name"])
        if what == "remove":
            actions.remove_node(actor=ACTOR, node=node)
            return
        verbs: dict[str, Callable[[], Node]] = {
            "update": lambda: actions.update_node(actor=ACTOR, node=node, **fields),
            "cordon": lambda: actions.cordon(actor=ACTOR, node=node),
            "uncordon": lambda: actions.uncordon(actor=ACTOR, node=node),
            "drain": lambda: actions.drain(actor=ACTOR, node=node),
            "refresh": lambda: actions.refresh_node(actor=ACTOR, node=node),
        }
        self.stdout.write(_line(verbs[what]()))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}", returncode=2) from error


def _line(node: Node) -> str:
    count = len(alarming.open_about([node]))
    alarms = f"  {count} alarms" if count else ""
    return f"{node.name}  {node.status}  {node.duty}  {node.version or '-'}  {node.url}{alarms}"
