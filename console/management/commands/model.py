"""manage.py model list|pull|import|copy|delete|approve|revoke-approval: the catalogue by hand."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from audit.ledger.actor import Actor
from console.management.names import model_of, node_named
from deployments import actions
from deployments.approvals import APPROVED
from deployments.models import Model, Operation, OperationState, StoredModel

ACTOR = Actor.system("manage.py model")


class Command(BaseCommand):
    help = "Show the models on the nodes, bring them there, take them away, approve them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("list", help="every copy of every model")
        pull = what.add_parser("pull", help="have a node pull a model")
        pull.add_argument("--insecure", action="store_true", help="a registry without TLS")
        for name in ("import", "copy", "delete"):
            what.add_parser(name)
        what.choices["import"].add_argument("--file", type=Path, required=True)
        what.choices["copy"].add_argument("--to", required=True, help="the other node, by name")
        for name in ("pull", "import", "copy", "delete"):
            what.choices[name].add_argument("tag", help="the model as its node names it")
            what.choices[name].add_argument("--node", required=True, help="a node, by name")
        for name in ("pull", "import", "copy"):
            what.choices[name].add_argument("--no-wait", action="store_true")
        for name in ("approve", "revoke-approval"):
            what.add_parser(name).add_argument("digest", help="its digest, or the beginning of it")
        what.choices["approve"].add_argument("--accept-licence", action="store_true")

    def handle(self, **options: Any) -> None:
        verbs: dict[str, Callable[[dict[str, Any]], Operation | None]] = {
            "list": self.list,
            "pull": self.pull,
            "import": self.import_file,
            "copy": self.copy,
            "delete": self.delete,
            "approve": self.approve,
            "revoke-approval": self.revoke_approval,
        }
        try:
            operation = verbs[options["what"]](options)
        except Refusal as error:
            raise CommandError(str(error), returncode=2) from error
        if operation is not None:
            self.stdout.write(str(operation.pk))
            if not options["no_wait"]:
                self._follow(operation)

    def list(self, options: dict[str, Any]) -> None:
        approved = set(Model.objects.filter(APPROVED).values_list("pk", flat=True))
        for copy in StoredModel.objects.select_related("node", "model"):
            word = "approved" if copy.model_id in approved else "not approved"
            self.stdout.write(f"{copy.model.short_digest}  {copy.node.name}  {copy.tag}  {word}")

    def pull(self, options: dict[str, Any]) -> Operation:
        return actions.pull_model(
            actor=ACTOR,
            node=node_named(options["node"]),
            name=options["tag"],
            insecure=options["insecure"],
        )

    def copy(self, options: dict[str, Any]) -> Operation:
        return actions.copy_model(
            actor=ACTOR, stored=_stored(options), node=node_named(options["to"])
        )

    def delete(self, options: dict[str, Any]) -> None:
        actions.delete_model(actor=ACTOR, stored=_stored(options))

    def approve(self, options: dict[str, Any]) -> None:
        model = model_of(options["digest"])
        actions.approve_model(actor=ACTOR, model=model, accept_licence=options["accept_licence"])

    def revoke_approval(self, options: dict[str, Any]) -> None:
        actions.revoke_approval(actor=ACTOR, model=model_of(options["digest"]))

    def import_file(self, options: dict[str, Any]) -> Operation:
        return actions.import_model(
            actor=ACTOR,
            node=node_named(options["node"]),
            name=options["tag"],
            path=options["file"].absolute(),
        )

    def _follow(self, operation: Operation) -> None:
        """Show how it goes; Ctrl-C leaves it to the worker."""
        shown = ""
        while True:
            operation.refresh_from_db()
            text = f"{operation.get_state_display()} {operation.step}"
            if operation.percent is not None:
                text += f" {operation.percent} %"
            if text != shown:
                self.stderr.write(text)
                shown = text
            if operation.is_final:
                break
            time.sleep(0.5)
        if operation.state != OperationState.SUCCEEDED:
            raise CommandError(str(operation.problem) or "It was cancelled.")


def _stored(options: dict[str, Any]) -> StoredModel:
    stored = StoredModel.objects.select_related("node", "model").filter(
        node=node_named(options["node"]), tag=options["tag"]
    )
    found = stored.first()
    if found is None:
        raise CommandError(f"{options['tag']} is not stored on {options['node']}.")
    return found
