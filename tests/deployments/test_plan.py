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
Key = tuple[str, int]


@dataclass
class World:
    """A fleet in memory: rows as the database has them, tags as the nodes have them."""

    wish: Wish
    places: dict[str, Place]
    copies: dict[Key, Copy] = field(default_factory=dict)
    tags: set[Key] = field(default_factory=set)
    bad: set[int] = field(default_factory=set)

    def step(self) -> plan.Step | None:
        found = [replace(c, held=k in self.tags) for k, c in self.copies.items()]
        return plan.decide(self.wish, self.places.values(), found).step

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
                    self.put((node, self.wish.target), State.READY)
                self.close(close)
            case plan.Close(copies):
                self.close(copies)
            case plan.Rest(node, revision):
                self.put((node, revision), State.STOPPED, pinned=False)
            case plan.Remove(node, revision):
                assert self.copies[node, revision].state not in plan.SERVING
                self.tags.discard((node, revision))
                if not killed:
                    del self.copies[node, revision]
            case plan.Pin(node, load):
                self.put((node, self.wish.target), State.READY, pinned=load)
            case plan.Settle():
                self.settle()

    def make(self, key: Key, killed: bool) -> None:
        place = self.places[key[0]]
        assert place.presence is Presence.UP
        assert DIGEST in place.stores
        assert not place.draining
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
        for _ in range(limit):
            step = self.step()
            if step is None:
                return
            before = bool(self.serving_now())
            self.do(step)
            if before and self.wish.wanted == "on" and not isinstance(step, plan.Make):
                assert self.serving_now(), f"{step} took the last one out of service"
        raise AssertionError(f"it never ends: {self.step()}")

    def serving_now(self) -> set[Key]:
        up = {p.id for p in self.places.values() if p.presence is not Presence.LOST}
        return {k for k in self.serving() if k[0] in up}


places = st.builds(
    Place,
    id=st.just(""),
    open=st.booleans(),
    draining=st.booleans(),
    labels=st.sets(st.sampled_from(["gpu", "edge"])).map(frozenset),
    stores=st.sampled_from([frozenset({DIGEST}), frozenset({DIGEST}), frozenset()]),
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


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A world after some history: changes of the wish, nodes that go, workers that are killed."""
    world = World(draw(wishes), draw(fleets), bad=draw(st.sets(st.integers(2, 4), max_size=2)))
    newest = 1
    for _ in range(draw(st.integers(0, 25))):
        match draw(st.sampled_from(["step", "step", "step", "kill", "node", "wish", "revision"])):
            case "node":
                node = draw(st.sampled_from(NODES))
                gone = draw(st.sampled_from(list(Presence)))
                world.places[node] = replace(world.places[node], presence=gone)
            case "wish" if world.wish.wanted != "gone":
                wish = draw(wishes)
                world.wish = replace(
                    wish,
                    target=world.wish.target,
                    current=world.wish.current,
                    previous=world.wish.previous,
                )
            case "revision" if world.wish.wanted == "on":
                newest += 1
                world.wish = replace(world.wish, target=newest, settled=False)
            case "kill" if step := world.step():
                world.do(step, killed=True)
            case _:
                if step := world.step():
                    world.do(step)
    return world


@settings(max_examples=600, deadline=None)
@given(worlds())
def test_it_ends_in_the_wanted_state_whatever_happened(world: World) -> None:
    world.run()
    for node, place in world.places.items():
        world.places[node] = replace(place, presence=Presence.UP)
    world.run()
    wish = world.wish
    assert world.tags <= set(world.copies), "a tag without a row: an orphan"
    if wish.wanted != "on":
        assert not world.serving()
        if wish.wanted == "gone":
            assert not world.tags and not world.copies
        return
    found = [replace(c, held=k in world.tags) for k, c in world.copies.items()]
    chosen = plan.choose(wish, world.places.values(), found)
    fit = [p for p in world.places.values() if suits(wish, p, world)]
    if not chosen:
        assert not [p for p in fit if p.open], "somewhere it could be, and it is not"
        return
    assert world.serving() == {(node, wish.target) for node in chosen}
    assert len(chosen) <= (wish.replicas or len(NODES))
    assert {r for _n, r in world.tags} <= {wish.target, wish.previous}
    assert wish.settled and wish.current == wish.target


def suits(wish: Wish, place: Place, world: World) -> bool:
    copy = world.copies.get((place.id, wish.target))
    return (
        DIGEST in place.stores
        and not place.draining
        and wish.labels <= place.labels
        and (not wish.nodes or place.id in wish.nodes)
        and not (copy is not None and copy.blocked)
    )


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_a_revision_that_cannot_start_leaves_the_old_one_serving(world: World) -> None:
    for node, place in world.places.items():
        world.places[node] = replace(place, presence=Presence.UP)
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
