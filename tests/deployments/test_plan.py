"""The reconciler's decision against a model of what should hold: random fleets, wishes, faults."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deployments import plan
from deployments.plan import Copy, Place, Presence, State, Wish

NODES = ("a", "b", "c", "d")
DIGEST = "m"
STORES = [frozenset({DIGEST}), frozenset({DIGEST}), frozenset()]
Key = tuple[str, int]
# What deployments.attest compares with the node.
MADE = (State.READY, State.STANDBY, State.DRAINING, State.STOPPED)


@dataclass
class World:
    """A fleet in memory: rows as the database has them, tags as the nodes have them.

    `changed`: tags of ours whose content somebody else replaced.
    """

    wish: Wish
    places: dict[str, Place]
    copies: dict[Key, Copy] = field(default_factory=dict)
    tags: set[Key] = field(default_factory=set)
    changed: set[Key] = field(default_factory=set)
    bad: set[int] = field(default_factory=set)

    def look(self) -> None:
        """What deployments.attest does with a node's answer: what is gone is to be made again,
        what was changed is out of service until a person decides."""
        for key, copy in self.copies.items():
            if self.places[key[0]].presence is not Presence.UP or copy.state not in MADE:
                continue
            if key not in self.tags:
                self.put(key, State.PENDING)
            elif key in self.changed:
                self.put(key, State.FOREIGN)

    def step(self) -> plan.Step | None:
        return plan.decide(self.wish, self.places.values(), list(self.copies.values())).step

    def serving(self) -> set[Key]:
        return {k for k, c in self.copies.items() if c.state is State.READY}

    def put(self, key: Key, state: State, **more: Any) -> None:
        old = self.copies.get(key, Copy(*key, state))
        self.copies[key] = replace(old, state=state, **more)

    def do(self, step: plan.Step, *, killed: bool = False) -> None:
        """Apply a step; `killed`: the worker dies in the middle of it."""
        match step:
            case plan.Make(node):
                self.make((node, self.wish.target), killed)
            case plan.Switch(nodes, close):
                for node in nodes:
                    key = (node, self.wish.target)
                    assert self.copies[key].state is State.STANDBY, "opened before it was ready"
                    self.put(key, State.READY)
                self.close(close)
            case plan.Close(copies):
                self.close(copies)
            case plan.Rest(node, revision):
                self.put((node, revision), State.STOPPED, pinned=False)
            case plan.Remove(node, revision):
                assert self.copies[node, revision].state not in plan.SERVING
                self.tags.discard((node, revision))
                self.changed.discard((node, revision))
                if not killed:
                    del self.copies[node, revision]
            case plan.Pin(node, load):
                self.put((node, self.wish.target), State.READY, pinned=load)
            case plan.Settle():
                self.settle()

    def do_on_node(self, step: plan.Step) -> None:
        """Of a worker that comes too late: another has its operation, so that none of its rows is
        written, and what the node was told is done."""
        match step:
            case plan.Make(node) if (node, self.wish.target) in self.copies:
                self.tags.add((node, self.wish.target))
            case plan.Remove(node, revision):
                self.tags.discard((node, revision))
                self.changed.discard((node, revision))

    def make(self, key: Key, killed: bool) -> None:
        place = self.places[key[0]]
        assert place.presence is Presence.UP
        assert DIGEST in place.stores
        assert not place.draining
        before = self.copies.get(key)
        assert before is None or before.state not in plan.SERVING, "it is there: made twice"
        self.put(key, State.PENDING)
        self.tags.add(key)
        if killed:
            return
        if key[1] not in self.bad:
            self.put(key, State.STANDBY, pinned=self.wish.keep)
            return
        self.tags.discard(key)
        self.put(key, State.FAILED, blocked=True)
        if self.wish.current not in (None, self.wish.target):
            self.wish = replace(self.wish, target=self.wish.current or 0, settled=False)

    def close(self, keys: frozenset[Key]) -> None:
        for key in keys:
            self.put(key, State.DRAINING)

    def settle(self) -> None:
        wish = self.wish
        if wish.wanted == "on" and wish.current != wish.target:
            wish = replace(wish, previous=wish.current, current=wish.target)
        self.wish = replace(wish, settled=True)

    def run(self, limit: int = 200) -> None:
        self.look()
        for _ in range(limit):
            step = self.step()
            if step is None:
                return
            before = bool(self.serving_now())
            self.do(step)
            self.look()
            if before and self.wish.wanted == "on" and not isinstance(step, plan.Make):
                assert self.serving_now(), f"{step} took the last one out of service"
        raise AssertionError(f"it never ends: {self.step()}")

    def all_up(self) -> None:
        for node, place in self.places.items():
            self.places[node] = replace(place, presence=Presence.UP)

    def serving_now(self) -> set[Key]:
        up = {p.id for p in self.places.values() if p.presence is not Presence.LOST}
        return {k for k in self.serving() if k[0] in up}


places = st.builds(
    Place,
    id=st.just(""),
    open=st.booleans(),
    draining=st.booleans(),
    labels=st.sets(st.sampled_from(["gpu", "edge"])).map(frozenset),
    stores=st.sampled_from(STORES),
    load=st.integers(0, 3),
)
fleets = st.tuples(*[places] * len(NODES)).map(
    lambda found: {n: replace(p, id=n) for n, p in zip(NODES, found, strict=True)}
)
wishes = st.builds(
    Wish,
    wanted=st.sampled_from(["on", "on", "on", "off", "gone"]),
    target=st.just(1),
    digest=st.just(DIGEST),
    replicas=st.sampled_from([1, 2, 3, None]),
    labels=st.sampled_from([frozenset(), frozenset({"gpu"})]),
    nodes=st.sampled_from([frozenset(), frozenset({"a", "b"})]),
    one_by_one=st.booleans(),
    keep=st.booleans(),
)


HAPPENINGS = ("step",) * 6 + ("kill", "wish", "revision", "late", "late") + ("outside",) * 5


def outside(draw: st.DrawFn, world: World) -> None:
    """What nobody here asked for: nodes go and come, models and tags are deleted or changed."""
    node = draw(st.sampled_from(NODES))
    place, tags = world.places[node], sorted(world.tags)
    match draw(st.sampled_from(["node", "node", "model", "vanish", "tamper", "retry"])):
        case "node":
            gone = draw(st.sampled_from(list(Presence)))
            world.places[node] = replace(place, presence=gone)
        case "model":
            world.places[node] = replace(place, stores=draw(st.sampled_from(STORES)))
        case "vanish" if tags:
            tag = draw(st.sampled_from(tags))
            world.tags.discard(tag)
            world.changed.discard(tag)
        case "tamper" if tags:
            world.changed.add(draw(st.sampled_from(tags)))
        case "retry":
            for key, copy in world.copies.items():
                world.copies[key] = replace(copy, blocked=False)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A world after some history: changes of the wish, nodes that go, workers that are killed or
    come too late, tags that somebody removes or changes, models that are deleted and come back."""
    world = World(draw(wishes), draw(fleets), bad=draw(st.sets(st.integers(2, 4), max_size=2)))
    newest, late = 1, None
    for _ in range(draw(st.integers(0, 30))):
        world.look()
        match draw(st.sampled_from(HAPPENINGS)):
            case "outside":
                outside(draw, world)
            case "wish" if world.wish.wanted != "gone":
                wish, old = draw(wishes), world.wish
                world.wish = replace(
                    wish, target=old.target, current=old.current, previous=old.previous
                )
            case "revision" if world.wish.wanted == "on":
                newest += 1
                world.wish = replace(world.wish, target=newest, settled=False)
            case "kill" if step := world.step():
                world.do(step, killed=True)
            case "late" if late is not None:
                world.do_on_node(late)
                late = None
            case _:
                if step := world.step():
                    late = step
                    world.do(step)
    return world


@settings(max_examples=600, deadline=None)
@given(worlds())
def test_it_ends_in_the_wanted_state_whatever_happened(world: World) -> None:
    world.run()
    world.all_up()
    world.run()
    wish = world.wish
    assert world.tags <= set(world.copies), "a tag without a row: an orphan"
    if wish.wanted != "on":
        assert not world.serving()
        if wish.wanted == "gone":
            assert not world.tags
            assert not world.copies
        return
    chosen = plan.choose(wish, world.places.values(), list(world.copies.values()))
    fit = [p for p in world.places.values() if suits(wish, p, world)]
    if not chosen:
        assert not [p for p in fit if p.open], "somewhere it could be, and it is not"
        return
    assert world.serving() == {(node, wish.target) for node in chosen}
    assert not world.serving() & world.changed, "what somebody changed answers"
    assert world.serving() <= world.tags
    assert len(chosen) <= (wish.replicas or len(NODES))
    assert {r for _n, r in world.tags} <= {wish.target, wish.previous}
    assert wish.settled
    assert wish.current == wish.target


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_when_it_has_ended_there_is_nothing_to_do(world: World) -> None:
    world.run()
    rows, tags = dict(world.copies), set(world.tags)
    for _round in range(3):
        world.look()
        assert world.step() is None
    assert (world.copies, world.tags) == (rows, tags)


def suits(wish: Wish, place: Place, world: World) -> bool:
    copy = world.copies.get((place.id, wish.target))
    lost = copy is not None and (copy.blocked or copy.state is State.FOREIGN)
    return (
        DIGEST in place.stores
        and not place.draining
        and wish.labels <= place.labels
        and (not wish.nodes or place.id in wish.nodes)
        and not lost
    )


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_a_revision_that_cannot_start_leaves_the_old_one_serving(world: World) -> None:
    world.all_up()
    world.run()
    before = world.serving()
    if world.wish.wanted != "on" or not before:
        return
    world.bad.add(99)
    world.wish = replace(world.wish, target=99, settled=False)
    world.run()
    assert world.serving() == before
    assert not {key for key in world.tags if key[1] == 99}


def test_an_unknown_copy_is_never_removed_because_it_is_never_seen() -> None:
    world = World(Wish("on", 1, digest=DIGEST), {"a": Place("a", stores=frozenset({DIGEST}))})
    world.tags.add(("a", 77))
    world.run()
    assert ("a", 77) in world.tags


def test_all_at_once_opens_nothing_until_every_node_has_it() -> None:
    places = {n: Place(n, stores=frozenset({DIGEST})) for n in NODES}
    world = World(Wish("on", 1, digest=DIGEST, replicas=None), places)
    for _node in NODES:
        step = world.step()
        assert isinstance(step, plan.Make)
        world.do(step)
    assert world.step() == plan.Switch(frozenset(NODES), frozenset())


def test_node_by_node_opens_each_before_the_next_is_made() -> None:
    places = {n: Place(n, stores=frozenset({DIGEST})) for n in NODES}
    world = World(Wish("on", 1, digest=DIGEST, replicas=None, one_by_one=True), places)
    for node in NODES:
        made, opened = world.step(), plan.Switch(frozenset({node}), frozenset())
        assert made == plan.Make(node)
        world.do(made)
        assert world.step() == opened
        world.do(opened)
