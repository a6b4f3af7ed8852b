"""manage.py alarm list|acknowledge|rules|set|receivers|add|remove|test|look: alarms by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from access.errors import Refusal
from audit.ledger.actor import Actor
from audit.office import actions
from audit.office.alarming import watch, words
from audit.office.alarming.rules import RULES
from audit.office.models import Alarm, AlarmRule, Channel, ChannelKind, Verdict

ACTOR = Actor.system("manage.py alarm")

SHOWN = 50


class Command(BaseCommand):
    help = "Show alarms and say a word about one; set rules; say where alarms are sent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("list", help="what waits for a word").add_argument(
            "--all", action="store_true", help="also those that were acknowledged"
        )
        said = what.add_parser("acknowledge", help="say what an alarm was")
        said.add_argument("id")
        said.add_argument("--verdict", required=True, choices=Verdict.values)
        said.add_argument("--text", required=True)
        what.add_parser("rules", help="every rule and its thresholds")
        setting = what.add_parser("set", help="set a rule; what is not given goes to its default")
        setting.add_argument("key", choices=sorted(RULES))
        setting.add_argument("values", nargs="*", metavar="NAME=NUMBER")
        setting.add_argument("--rest", action="store_true", help="let it look for nothing")
        what.add_parser("receivers", help="where alarms are sent")
        adding = what.add_parser("add", help="add a receiver; prints a webhook's signing key once")
        adding.add_argument("name")
        adding.add_argument("--kind", required=True, choices=ChannelKind.values)
        adding.add_argument("--address", required=True)
        adding.add_argument("--language", default="en")
        adding.add_argument("--least", type=int, default=3, help="severity, 1 to 6")
        adding.add_argument("--per-hour", type=int, default=10)
        for name, told in (("remove", "remove a receiver"), ("test", "send it a test")):
            what.add_parser(name, help=told).add_argument("name")
        what.add_parser("look", help="ask every rule now")

    def handle(self, **options: Any) -> None:
        words_of: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "list": self._list, "acknowledge": self._acknowledge, "rules": self._rules,
            "set": self._set, "receivers": self._receivers, "add": self._add,
            "remove": self._remove, "test": self._test, "look": self._look,
        }  # fmt: skip
        try:
            words_of[options["what"]](options)
        except Refusal as error:
            raise CommandError(str(error), returncode=2) from error

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = Alarm.objects.all() if options["all"] else Alarm.objects.waiting()
        for alarm in rows[:SHOWN]:
            state = "open" if alarm.is_open else "over"
            opened = f"{alarm.opened_at:%Y-%m-%d %H:%M}"
            self.stdout.write(
                f"{alarm.pk}  {opened}  {state}  {alarm.count}x  {words.sentence(alarm)}"
            )

    def _acknowledge(self, options: Mapping[str, Any]) -> None:
        try:
            alarm = Alarm.objects.filter(pk=options["id"]).first()
        except ValidationError:
            alarm = None
        if alarm is None:
            raise CommandError("There is no such alarm; `alarm list --all` shows them.")
        actions.acknowledge_alarm(
            actor=ACTOR, alarm=alarm, verdict=options["verdict"], text=options["text"]
        )

    def _rules(self, _options: Mapping[str, Any]) -> None:
        rows = AlarmRule.objects.in_bulk()
        for key, rule in RULES.items():
            row = rows.get(key)
            values = " ".join(
                f"{t.name}={rule.values(row.values if row else {})[t.name]}({t.least}..{t.most})"
                for t in rule.thresholds
            )
            rest = "  at rest" if row and row.resting else ""
            self.stdout.write(f"{key}  severity {rule.severity}  {values}{rest}".rstrip())

    def _set(self, options: Mapping[str, Any]) -> None:
        try:
            values = {k: int(v) for k, v in (text.split("=", 1) for text in options["values"])}
        except ValueError as error:
            raise CommandError("Write each threshold as name=number.") from error
        actions.set_alarm_rule(
            actor=ACTOR, key=options["key"], values=values, resting=options["rest"]
        )

    def _receivers(self, _options: Mapping[str, Any]) -> None:
        for channel in Channel.objects.all():
            newest = channel.notices.first()
            state = f"{newest.state} {newest.problem}".strip() if newest else "nothing sent yet"
            self.stdout.write(f"{channel.name}  {channel.kind}  {channel.address}  {state}")

    def _add(self, options: Mapping[str, Any]) -> None:
        names = ("name", "kind", "address", "language", "least", "per_hour")
        _channel, key = actions.add_channel(actor=ACTOR, **{n: options[n] for n in names})
        if key:
            self.stdout.write(key)

    def _remove(self, options: Mapping[str, Any]) -> None:
        actions.remove_channel(actor=ACTOR, channel=_named(options["name"]))

    def _test(self, options: Mapping[str, Any]) -> None:
        actions.test_channel(actor=ACTOR, channel=_named(options["name"]))

    def _look(self, _options: Mapping[str, Any]) -> None:
        watch.ask_all()
        for row in AlarmRule.objects.exclude(problem=""):
            self.stderr.write(f"{row.key}: {row.problem}")


def _named(name: str) -> Channel:
    channel = Channel.objects.filter(name=name).first()
    if channel is None:
        names = ", ".join(Channel.objects.values_list("name", flat=True))
        raise CommandError(f"There is no receiver {name}. There are: {names or 'none'}.")
    return channel
