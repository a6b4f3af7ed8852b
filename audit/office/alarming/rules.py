"""The rules of alarms: what each looks for, in words, with thresholds and their bounds. Pure.

A rule that looks at people may be put to rest; one about the log's own health may not: nobody
switches off what says that the log is in trouble.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from access.roles import Role

AUDIT, SECURITY, SYSTEM = Role.AUDIT, Role.SECURITY, Role.SYSTEM
Text = str | Promise


@dataclass(frozen=True, slots=True)
class Threshold:
    """A whole number that can be set, within bounds. `unit` is shown behind it."""

    name: str
    label: Text
    default: int
    least: int
    most: int
    unit: Text = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    sentence: what an alarm of it says, with the names of its facts and `subject` in it. lasts: it
    is about a state, and closes by itself when that ends; otherwise about something that happened,
    and is closed by who acknowledges it. readers: the roles that are shown its alarms. severity:
    1 to 6, as of events.
    """

    key: str
    title: Text
    looks_for: Text
    sentence: Text
    advice: Text
    severity: int
    readers: tuple[Role, ...]
    thresholds: tuple[Threshold, ...] = ()
    lasts: bool = False
    may_rest: bool = False

    def values(self, given: Mapping[str, Any]) -> dict[str, int]:
        """The thresholds in force: what was set, where it is within bounds (the database may have
        been written by hand), else the default."""
        found = {}
        for threshold in self.thresholds:
            value = given.get(threshold.name)
            fine = isinstance(value, int) and threshold.least <= value <= threshold.most
            found[threshold.name] = int(value) if fine and value is not None else threshold.default
        return found


COUNT = ("count", _("At least"))
WINDOW = ("minutes", _("Within"))
MINUTES, SECONDS, TIMES = _("minutes"), _("seconds"), _("times")
EVERYBODY = (AUDIT, SECURITY, SYSTEM)

RULES: dict[str, Rule] = {
    rule.key: rule
    for rule in (
        Rule(
            "denials",
            _("Burst of refusals"),
            _(
                "One person, key or address is refused many times: permissions, requests to models "
                "and sign-ins that failed."
            ),
            _("%(subject)s was refused %(count)s times."),
            _("See what was tried. Somebody looks for a door, or a program is set up wrong."),
            4,
            (AUDIT, SECURITY),
            (
                Threshold(*COUNT, 20, 3, 1000, _("refusals")),
                Threshold(*WINDOW, 5, 1, 60, MINUTES),
            ),
            may_rest=True,
        ),
        Rule(
            "lockouts",
            _("Sign-in locked"),
            _("Passwords are tried until the sign-in is locked for an account from an address."),
            _("From %(subject)s the sign-in was locked %(count)s times."),
            _("Ask the person whose name was typed. If it was not them, look at the address."),
            4,
            (AUDIT, SECURITY),
            (
                Threshold(*COUNT, 1, 1, 100, TIMES),
                Threshold(*WINDOW, 10, 1, 60, MINUTES),
            ),
        ),
        Rule(
            "off_hours",
            _("Administration outside working hours"),
            _("An administrator changes something at night or at the weekend, by our clock."),
            _("%(subject)s changed things outside working hours: %(count)s times."),
            _("Ask whether it was planned. What was done stands below."),
            3,
            (AUDIT, SECURITY),
            (
                Threshold("begin", _("Work begins at"), 7, 0, 12, _("o'clock")),
                Threshold("end", _("Work ends at"), 20, 12, 24, _("o'clock")),
                Threshold("weekend", _("Saturday and Sunday are working days"), 0, 0, 1),
            ),
            may_rest=True,
        ),
        Rule(
            "new_address",
            _("Administrator at a new address"),
            _(
                "An administrator signs in from an address from which they never have. The first "
                "address of a person is learned."
            ),
            _("%(subject)s signed in from an address that is new for them."),
            _("Ask the person, by another way than this console. If it was not them, disable it."),
            4,
            (AUDIT, SECURITY),
            may_rest=True,
        ),
        Rule(
            "key_use",
            _("Unusual use of a key"),
            _(
                "A key makes far more requests in an hour than it is used to: the median of the "
                "hours of the last 14 days in which it was used at all. It needs a history."
            ),
            _(
                "The key %(subject)s made %(requests)s requests in an hour; its "
                "median over %(hours)s hours is %(median)s."
            ),
            _("Ask its owner. If they do not know why, revoke it: that works within a second."),
            4,
            (AUDIT, SECURITY),
            (
                Threshold("factor", _("More than the median"), 5, 2, 100, _("times over")),
                Threshold("least", _("And at least"), 100, 10, 1_000_000, _("requests an hour")),
                Threshold("hours", _("History needed"), 24, 6, 300, _("hours with requests")),
            ),
            may_rest=True,
        ),
        Rule(
            "changed_tag",
            _("A model is not what it was"),
            _("The digest of a revision on a node is not the one that was attested."),
            _("On %(subject)s somebody changed the revision %(part)s. It is out of service."),
            _("Its deployment's page can make it anew. Find out who can write to that machine."),
            5,
            EVERYBODY,
            lasts=True,
        ),
        Rule(
            "remote_model",
            _("A model of somebody else's machines"),
            _("A node offers a model that its vendor's machines would answer for."),
            _("On %(subject)s the model %(part)s is answered by somebody else's machines."),
            _("It is not offered here. Remove it from the node."),
            5,
            EVERYBODY,
            lasts=True,
        ),
        Rule(
            "cloud_on",
            _("A house that is not closed"),
            _("The Ollama of a node may pass requests on to its vendor."),
            _("On %(subject)s Ollama may pass requests on to its vendor."),
            _("Set OLLAMA_NO_CLOUD=1 on the machine and start Ollama again."),
            5,
            EVERYBODY,
            lasts=True,
        ),
        Rule(
            "clock_off",
            _("A clock that is off"),
            _("The clock of a node differs from ours by more than a minute."),
            _("The clock of %(subject)s is off by more than a minute."),
            _("Have the machine follow a time server."),
            3,
            (AUDIT, SYSTEM),
            lasts=True,
        ),
        Rule(
            "version_old",
            _("An Ollama that is too old"),
            _("The Ollama of a node is older than what deployments need."),
            _("The Ollama of %(subject)s is too old for deployments to be made: %(part)s."),
            _("Update it."),
            2,
            (AUDIT, SYSTEM),
            lasts=True,
        ),
        Rule(
            "node_silent",
            _("A silent node"),
            _("A node has not answered for a while, so nobody knows what happens there."),
            _("%(subject)s has not answered since %(since)s."),
            _("Look at the machine and at its Ollama; drain the node if it stays away."),
            4,
            (AUDIT, SYSTEM),
            (Threshold(*WINDOW, 5, 1, 120, MINUTES),),
            lasts=True,
        ),
        Rule(
            "process_silent",
            _("A writing process that stopped"),
            _("A process of the gateway stopped writing without saying that it ends."),
            _("%(subject)s stopped without a word; it was heard of last at %(since)s."),
            _("It was killed, or its machine went. What it left open has been ended in the log."),
            4,
            (AUDIT, SYSTEM),
            (Threshold("seconds", _("Silent for"), 90, 60, 3600, SECONDS),),
        ),
        Rule(
            "sealer_late",
            _("Sealing is late"),
            _("Events wait to be sealed, or the sealer is silent or has stopped."),
            _("Sealing is late: the sealer was heard of at %(since)s, %(waiting)s events wait."),
            _("See the page about the log. What happens is stored and waits."),
            5,
            (AUDIT, SYSTEM),
            (Threshold("seconds", _("Late by"), 60, 15, 3600, SECONDS),),
            lasts=True,
        ),
        Rule(
            "log_not_whole",
            _("The log is not whole"),
            _("A verification found that events were changed, or are missing."),
            _("The verification of the log found: %(finding)s"),
            _("Keep the machine as it is, and compare with heads and archives kept elsewhere."),
            6,
            EVERYBODY,
            lasts=True,
        ),
        Rule(
            "witness_alarm",
            _("A witness contradicts"),
            _("A witness saw a log that is not the one it had confirmed."),
            _("The witness %(subject)s found: %(finding)s"),
            _("Keep the machine as it is. Compare what the witness has with what is here."),
            6,
            EVERYBODY,
            lasts=True,
        ),
        Rule(
            "outside_late",
            _("A copy outside is late"),
            _("A place outside does not take the log, or a witness does not ask for it."),
            _("The copy at %(subject)s has not been kept since %(since)s."),
            _("Until it is kept again, nobody outside can prove the newest events."),
            4,
            (AUDIT, SYSTEM),
            (Threshold(*WINDOW, 5, 1, 120, MINUTES),),
            lasts=True,
        ),
        Rule(
            "disk_low",
            _("Little room on the disk"),
            _("The disk of a folder of this console's worker is nearly full."),
            _("On the disk of %(subject)s %(free)s percent are free: %(bytes)s."),
            _("Make room: when it is full, nothing can be recorded, and nothing is answered."),
            5,
            (AUDIT, SYSTEM),
            (Threshold("percent", _("Free, less than"), 10, 2, 50, "%"),),
            lasts=True,
        ),
        Rule(
            "undelivered",
            _("Alarms that do not arrive"),
            _("Messages about alarms cannot be delivered to a receiver."),
            _("Messages to %(subject)s do not arrive."),
            _("See what it answers on the page of receivers, and send a test."),
            4,
            (AUDIT,),
            (Threshold("tries", _("Failed in a row"), 3, 1, 10, TIMES),),
            lasts=True,
        ),
    )
}


def visible_to(role: str) -> list[str]:
    """The rules whose alarms a role is shown."""
    return [rule.key for rule in RULES.values() if role in rule.readers]
