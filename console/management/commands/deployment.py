"""manage.py deployment list|show|compare|create|change|place|rollback|restore|start|stop|delete."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from audit.ledger.actor import Actor
from console.management.names import deployment_named, model_of, node_named
from deployments import actions
from deployments.models import Deployment, Replica
from deployments.placement import Placement
from deployments.revising import compare, recipe_of
from deployments.wishes import Keep, Strategy, read_timetable

ACTOR = Actor.system("manage.py deployment")
VERBS = [
    "show",
    "compare",
    "create",
    "change",
    "place",
    "rollback",
    "restore",
    "start",
    "stop",
    "delete",
]
RECIPE = ("system_prompt", "template", "schema")


class Command(BaseCommand):
    help = "Show the deployments, make one, change it, roll it back, switch it on and off."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("list", help="every deployment")
        for name in VERBS:
            what.add_parser(name).add_argument("name", help="a deployment, by name")
        for name in ("create", "change"):
            added = what.choices[name]
            added.add_argument(
                "--model", required=name == "create", help="the beginning of a digest"
            )
            added.add_argument("--system-prompt", type=Path, metavar="FILE")
            added.add_argument("--template", type=Path, metavar="FILE")
            added.add_argument("--schema", type=Path, metavar="FILE")
            added.add_argument("--set", action="append", metavar="PARAMETER=NUMBER", default=[])
        for name in ("create", "change", "place"):
            what.choices[name].add_argument(
                "--although", default="", metavar="REASON", help="try what fits nowhere, because"
            )
        for name in ("old", "new"):
            what.choices["compare"].add_argument(name, type=int, help="a revision's number")
        what.choices["change"].add_argument("--note", default="", help="why")
        for name in ("create", "place"):
            added = what.choices[name]
            added.add_argument("--replicas", type=int, help="0: one on each node that matches")
            added.add_argument("--label", action="append", help="only on nodes with it")
            added.add_argument("--node", action="append", help="only on this node, by name")
            added.add_argument("--strategy", choices=Strategy.values)
            added.add_argument("--keep", choices=Keep.values)
            added.add_argument(
                "--timetable", metavar="FILE", type=Path, help="lines as: mon-fri 08:00-18:00"
            )

    def handle(self, **options: Any) -> None:
        if options["what"] == "list":
            for deployment in Deployment.objects.present().select_related("current", "target"):
                self.stdout.write(_line(deployment))
            return
        try:
            if options["what"] == "create":
                self._create(options)
            else:
                self._do(options, deployment_named(options["name"]))
        except Refusal as error:
            raise CommandError(str(error), returncode=2) from error
        if options["what"] != "compare":
            self._show(deployment_named(options["name"], gone=True))

    def _create(self, options: dict[str, Any]) -> None:
        actions.create_deployment(
            actor=ACTOR,
            name=options["name"],
            model=model_of(options["model"]),
            placement=_placement(Placement(), options),
            **_recipe({}, options),
        )

    def _do(self, options: dict[str, Any], deployment: Deployment) -> None:
        seen: dict[str, Any] = {"actor": ACTOR, "deployment": deployment}
        wish = {**seen, "version": deployment.version}
        verbs: dict[str, Callable[[], object]] = {
            "show": lambda: None,
            "compare": lambda: self._compare(deployment, options["old"], options["new"]),
            "change": lambda: self._change(options, wish),
            "place": lambda: actions.place(
                **wish,
                placement=_placement(Placement.of(deployment), options),
                fit_reason=options["although"],
            ),
            "rollback": lambda: actions.rollback(**wish),
            "restore": lambda: actions.restore(**seen),
            "start": lambda: actions.start(**seen),
            "stop": lambda: actions.stop(**seen),
            "delete": lambda: actions.delete(**seen),
        }
        verbs[options["what"]]()

    def _change(self, options: dict[str, Any], wish: dict[str, Any]) -> None:
        """What is not given stays as it is wished for now."""
        now = wish["deployment"].target
        known = recipe_of(now)
        kept = {name: getattr(known, name) for name in (*RECIPE, "parameters")}
        model = model_of(options["model"]) if options["model"] else now.model
        actions.change(**wish, model=model, note=options["note"], **_recipe(kept, options))

    def _compare(self, deployment: Deployment, *numbers: int) -> None:
        rows = deployment.revisions.select_related("model")
        found = {row.number: row for row in rows.filter(number__in=numbers)}
        if missing := [str(number) for number in numbers if number not in found]:
            raise CommandError(f"There is no revision {', '.join(missing)}.", returncode=2)
        for line in compare(found[numbers[0]], found[numbers[1]]):
            self.stdout.write(f"{line.sign} {line.text}".rstrip())

    def _show(self, deployment: Deployment) -> None:
        self.stdout.write(_line(deployment))
        rows = Replica.objects.filter(revision__deployment=deployment)
        for replica in rows.select_related("node", "revision"):
            line = f"  {replica.node.name}  r{replica.revision.number}  {replica.state}"
            self.stdout.write(f"{line}  {replica.problem}".rstrip())
        for text in (deployment.problem, deployment.setback):
            if text:
                self.stdout.write(f"  {text}")


def _recipe(kept: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    given = {name: _text(options[name]) for name in RECIPE if options[name] is not None}
    parameters = dict(kept.get("parameters") or {})
    for pair in options["set"]:
        name, _equals, value = pair.partition("=")
        parameters[name] = value or None
    return {**kept, **given, "parameters": parameters, "fit_reason": options["although"]}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}", returncode=2) from error


def _placement(now: Placement, options: dict[str, Any]) -> Placement:
    """As it is, with what was given."""
    replicas = options["replicas"]
    nodes, table = options["node"], options["timetable"]
    return Placement(
        replicas=now.replicas if replicas is None else replicas or None,
        labels=now.labels if options["label"] is None else options["label"],
        nodes=now.nodes if nodes is None else [node_named(name) for name in nodes],
        strategy=options["strategy"] or now.strategy,
        keep=options["keep"] or now.keep,
        timetable=now.timetable if table is None else read_timetable(_text(table)),
    )


def _line(deployment: Deployment) -> str:
    current, target = deployment.current, deployment.target
    revision = f"r{current.number}" if current else "-"
    if deployment.is_rolling_out and target is not None:
        revision += f" -> r{target.number}"
    return f"{deployment.name}  {deployment.state}  {revision}  {deployment.description}".rstrip()
