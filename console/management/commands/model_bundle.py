"""manage.py model_bundle export|import|key: models for sites without a network."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from access.said import from_json
from audit.ledger.actor import Actor
from deployments import actions, bundle, runner
from deployments.models import Node, Operation, OperationState, StoredModel

ACTOR = Actor.system("model_bundle")


class Command(BaseCommand):
    help = "Write a model of a node into one signed file, or bring such a file to a node."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        export = what.add_parser("export", help="write a model into a bundle")
        export.add_argument("tag", help="the model as its node lists it, such as qwen3:4b")
        export.add_argument("--node", required=True, help="a node that stores it, by name")
        export.add_argument("--output", required=True, type=Path)
        read = what.add_parser("import", help="bring a bundle to a node")
        read.add_argument("file", type=Path)
        read.add_argument("--node", required=True, help="where it goes, by name")
        read.add_argument("--name", default="", help="another name for it")
        read.add_argument("--trust", default="", help="the signer's public key, if not known yet")
        what.add_parser("key", help="show the public key that others need to trust our bundles")

    def handle(self, **options: Any) -> None:
        if options["what"] == "key":
            self.stdout.write(bundle.public_text(bundle.own_key().public_key()))
            return
        try:
            operation = (
                self._export(options) if options["what"] == "export" else self._read(options)
            )
        except Refusal as error:
            raise CommandError(str(error), returncode=2) from error
        self._follow(operation)

    def _export(self, options: dict[str, Any]) -> Operation:
        stored = StoredModel.objects.select_related("node", "model").filter(
            node=_node(options["node"]), tag=options["tag"]
        )
        found = stored.first()
        if found is None:
            raise CommandError(f"{options['tag']} is not stored on {options['node']}.")
        return actions.export_bundle(actor=ACTOR, stored=found, path=options["output"])

    def _read(self, options: dict[str, Any]) -> Operation:
        return actions.unpack_bundle(
            actor=ACTOR,
            node=_node(options["node"]),
            path=options["file"],
            name=options["name"],
            trust=options["trust"],
        )

    def _follow(self, operation: Operation) -> None:
        """Run it here, because the file is here; wait for the node's turn if it is busy."""
        runner.run(str(operation.pk))
        operation.refresh_from_db()
        while not operation.is_final:
            time.sleep(1)
            runner.run(str(operation.pk))
            operation.refresh_from_db()
        for line in operation.log:
            self.stderr.write(f"{line['step']:<9} {from_json(line['text'])}")
        if operation.state != OperationState.SUCCEEDED:
            raise CommandError(str(operation.problem) or "It was cancelled.")


def _node(name: str) -> Node:
    node = Node.objects.filter(name=name).first()
    if node is None:
        names = ", ".join(Node.objects.values_list("name", flat=True)[:20])
        raise CommandError(f"There is no node {name}. There are: {names or 'none'}.")
    return node
