"""Acts that need a second person: how each is applied, and who may approve it.

A room says at Django's start (`AppConfig.ready`) what registers its acts:

    second_person.register_later(register)

which happens when somebody first asks for one, and is

    second_person.register(Act.RETENTION_CHANGE, roles=(Role.AUDIT,), apply=…, fingerprint=…)

Its verb asks with `access.actions.request(…)`. When another person approves, `apply` is called
with exactly the arguments that were asked for, as the one who asked, in the transaction of the
approval; every event it records refers to the proposal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from django.utils.translation import gettext_lazy as _

from access.errors import WrongState
from access.roles import ADMINISTRATORS, Role
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change

Arguments = Mapping[str, Any]
Value = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the difference that both people are shown. `label` is an English message id
    (mark it with gettext_noop), short: it is the name of the field in the log, too;
    of a `private` value (a name) the log keeps a commitment only. The values of a `worded` line are
    message ids, too."""

    label: str
    old: Value
    new: Value
    private: bool = False
    worded: bool = False

    def as_change(self) -> Change:
        return Change(self.label, self.old, self.new, private=self.private)

    def as_json(self) -> dict[str, Value]:
        shown = {"label": self.label, "old": self.old, "new": self.new, "private": self.private}
        return {**shown, "worded": True} if self.worded else shown


def unchanged(_arguments: Arguments) -> str:
    """The fingerprint of an act that does not depend on how things stand."""
    return ""


@dataclass(frozen=True, slots=True)
class Way:
    """How an act is applied.

    roles: whose holders may approve. apply: does it, as the requester; a Refusal makes the proposal
    outdated. fingerprint: a text that differs when what the act changes has changed; it should lock
    the rows it reads (select_for_update), and may raise a Refusal when they are gone.
    """

    roles: tuple[Role, ...]
    apply: Callable[[Actor, Arguments], object]
    fingerprint: Callable[[Arguments], str]


_ways: dict[Act, Way] = {}
_later: list[Callable[[], None]] = []


def register_later(registration: Callable[[], None]) -> None:
    """Have acts registered when one is first asked for. What applies them reaches far into its
    room; a process in which nobody decides on anything, as a gateway, does without."""
    _later.append(registration)


def register(
    act: Act,
    *,
    roles: Sequence[Role],
    apply: Callable[[Actor, Arguments], object],
    fingerprint: Callable[[Arguments], str] = unchanged,
) -> None:
    """Say how `act` is applied once a second person, holding one of `roles`, has approved it."""
    if not roles or not set(roles) <= set(ADMINISTRATORS):
        raise ValueError(f"{act}: administrators approve, and at least one role of them")
    _ways[act] = Way(tuple(roles), apply, fingerprint)


def acts() -> list[Act]:
    """What waits for a second person in this house."""
    return sorted(_known())


def way_of(act: Act) -> Way:
    """Raises WrongState for an act that no room has registered."""
    ways = _known()
    if act not in ways:
        raise WrongState(_("This version of the console does not know how to apply this."))
    return ways[act]


def _known() -> Mapping[Act, Way]:
    for registration in tuple(_later):
        # Another thread that asks meanwhile registers the same.
        registration()
        with suppress(ValueError):
            _later.remove(registration)
    return _ways


def state_of(act: str, arguments: Arguments) -> str:
    """The fingerprint now, at most 64 characters."""
    text = way_of(Act(act)).fingerprint(arguments)
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def digest_of(arguments: Arguments, difference: Sequence[Mapping[str, Value]]) -> str:
    """A hash of exactly what was asked for and shown; it is in the events of asking and deciding.

    Hexadecimal SHA-256 of the JSON of both with sorted keys.
    """
    value = {"arguments": arguments, "difference": list(difference)}
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
