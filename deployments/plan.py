"""The decision of the reconciler: what is wished, what is there -> the next step. Pure.

One step at a time: it is done, the world is looked at again, and the next is decided. So a worker
killed anywhere leaves nothing that the next look does not see. Held by a property test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Presence(StrEnum):
    """`AWAY` may come back at any moment and keeps its replicas; `LOST` is replaced elsewhere."""

    UP = "up"
    AWAY = "away"
    LOST = "lost"


class State(StrEnum):
    """States of a copy: those of models.ReplicaState."""

    PENDING = "pending"
    STANDBY = "standby"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Place:
    """A node as a decision needs it. `stores`: identities of models; `load`: replicas on it;
    `fits`: as far as anybody knows, it has the memory for the target."""

    id: str
    name: str = ""
    presence: Presence = Presence.UP
    open: bool = True
    draining: bool = False
    labels: frozenset[str] = frozenset()
    stores: frozenset[str] = frozenset()
    load: int = 0
    fits: bool = True


@dataclass(frozen=True, slots=True)
class Copy:
    """One revision on one node. `pinned`: kept in memory for ever; `blocked`: it failed and is not
    tried again yet."""

    node: str
    revision: int
    state: State
    pinned: bool = False
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of one deployment. `replicas` None: one on every node that matches.

    `settled`: the row already says that it is as wished.
    """

    wanted: str
    target: int
    current: int | None = None
    previous: int | None = None
    digest: str = ""
    replicas: int | None = 1
    labels: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    one_by_one: bool = False
    keep: bool = True
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Make:
    """Materialise, attest, load and probe the target on a node; out of the route still."""

    node: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Open the route to the target on `nodes` and close it for `close`, in one transaction."""

    nodes: frozenset[str]
    close: frozenset[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Close:
    """Take copies out of the route: what is under way goes on, nothing new comes."""

    copies: frozenset[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait until nothing is under way, then take it out of memory; its tag is kept."""

    node: str
    revision: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the tag from the node, and then the copy's row."""

    node: str
    revision: int


@dataclass(frozen=True, slots=True)
class Pin:
    """Load the target and keep it, or let it go when its time is over."""

    node: str
    load: bool


@dataclass(frozen=True, slots=True)
class Settle:
    """Write down that it is as wished."""


Step = Make | Switch | Close | Rest | Remove | Pin | Settle


@dataclass(frozen=True, slots=True)
class Decision:
    """The next step, or None; and the nodes that must come back before the rest can be done."""

    step: Step | None
    waiting: tuple[str, ...] = ()
    chosen: tuple[str, ...] = field(default=())


SERVING = (State.READY, State.STANDBY)


def decide(wish: Wish, places: Iterable[Place], copies: Sequence[Copy]) -> Decision:
    """What to do next to bring `copies` to `wish`."""
    by_id = {place.id: place for place in places}
    up = {place.id for place in by_id.values() if place.presence is Presence.UP}
    for copy in _sorted(copies):
        if copy.state is State.DRAINING and copy.node in up:
            return Decision(Rest(copy.node, copy.revision))
    if wish.wanted == "on":
        return _serve(wish, by_id, up, copies)
    return _wind_down(wish, up, copies)


def _wind_down(wish: Wish, up: set[str], copies: Sequence[Copy]) -> Decision:
    open_copies = frozenset((c.node, c.revision) for c in copies if c.state in SERVING)
    if open_copies:
        return Decision(Close(open_copies))
    keep = {wish.target, wish.current, wish.previous} if wish.wanted == "off" else set()
    resting = (State.STOPPED, State.FOREIGN, State.FAILED)
    leaving = [c for c in copies if c.revision not in keep or c.state not in resting]
    for copy in _sorted(leaving):
        if copy.node in up and copy.state is not State.DRAINING:
            return Decision(Remove(copy.node, copy.revision))
    waiting = tuple(sorted({c.node for c in leaving}))
    return Decision(None if waiting or wish.settled else Settle(), waiting)


def choose(wish: Wish, places: Iterable[Place], copies: Sequence[Copy]) -> list[str]:
    """The nodes on which the target should be: where it already is first, then where it fits, then
    the emptiest."""
    here: dict[str, list[Copy]] = {}
    for copy in copies:
        here.setdefault(copy.node, []).append(copy)
    ranked = []
    for place in places:
        rank = _rank(wish, place, here.get(place.id, []))
        if rank is not None:
            ranked.append((rank, not place.fits, place.load, place.name, place.id))
    found = [entry[-1] for entry in sorted(ranked)]
    return found if wish.replicas is None else found[: wish.replicas]


def _rank(wish: Wish, place: Place, here: Sequence[Copy]) -> int | None:
    """How well a node suits, 0 best; None when the target cannot or must not be there."""
    target = [c for c in here if c.revision == wish.target]
    states = {c.state for c in target}
    if not _matches(wish, place) or State.FOREIGN in states:
        return None
    if State.READY in states:
        return None if place.presence is Presence.LOST else 0
    if place.presence is not Presence.UP or any(c.blocked for c in target):
        return None
    serves = any(c.state is State.READY for c in here)
    makeable = wish.digest in place.stores and (place.open or serves)
    if State.STANDBY in states:
        return 1
    return (2 if serves else 3 if here else 4) if makeable else None


def _matches(wish: Wish, place: Place) -> bool:
    named = not wish.nodes or place.id in wish.nodes
    return named and wish.labels <= place.labels and not place.draining


def _serve(wish: Wish, places: dict[str, Place], up: set[str], copies: Sequence[Copy]) -> Decision:
    chosen = choose(wish, places.values(), copies)
    target = {c.node: c for c in copies if c.revision == wish.target}
    step = _roll_out(wish, chosen, target, copies)
    if step is None and chosen and not wish.settled:
        step = Settle()
    if step is None and chosen:
        step = _tidy(wish, places, up, set(chosen), copies)
    if step is None:
        step = _pin(wish, up, target)
    waiting = () if chosen else tuple(sorted(i for i in places if i not in up))
    return Decision(step, waiting, tuple(chosen))


def _roll_out(
    wish: Wish, chosen: list[str], target: dict[str, Copy], copies: Sequence[Copy]
) -> Step | None:
    """Make what is missing and open it: node by node, or all of it at once."""
    states = {n: target[n].state if n in target else State.PENDING for n in chosen}
    waiting = [n for n in chosen if states[n] is State.STANDBY]
    missing = [n for n in chosen if states[n] not in SERVING]
    if waiting and (wish.one_by_one or not missing):
        nodes = frozenset(waiting)
        close = frozenset(
            (c.node, c.revision)
            for c in copies
            if c.state is State.READY
            and c.revision != wish.target
            and (c.node in nodes or not wish.one_by_one)
        )
        return Switch(nodes, close)
    return Make(missing[0]) if missing else None


def _tidy(
    wish: Wish, places: dict[str, Place], up: set[str], chosen: set[str], copies: Sequence[Copy]
) -> Step | None:
    """Close what serves beside the wish; remove what no rollback will need."""
    beside = frozenset(
        (c.node, c.revision)
        for c in copies
        if c.state in SERVING and not (c.revision == wish.target and c.node in chosen)
    )
    if beside:
        return Close(beside)
    for copy in _sorted(copies):
        if copy.node in up and copy.state is not State.DRAINING and not _kept(wish, places, copy):
            return Remove(copy.node, copy.revision)
    return None


def _kept(wish: Wish, places: dict[str, Place], copy: Copy) -> bool:
    """Whether a copy stays: it serves, is blocked from serving, or is the way back."""
    if copy.revision == wish.target:
        return copy.state in SERVING or copy.state is State.FOREIGN or copy.blocked
    resting = copy.state in (State.STOPPED, State.FOREIGN)
    return copy.revision == wish.previous and resting and not places[copy.node].draining


def _pin(wish: Wish, up: set[str], target: dict[str, Copy]) -> Step | None:
    for node, copy in sorted(target.items()):
        if copy.state is State.READY and node in up and copy.pinned != wish.keep:
            return Pin(node, wish.keep)
    return None


def _sorted(copies: Iterable[Copy]) -> list[Copy]:
    return sorted(copies, key=lambda c: (c.node, c.revision))
