"""Ids of events: in order, and of the same reading of the clock as the event's time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.event import Draft, build
from audit.ledger.identifiers import stamp, uuid7


def test_they_only_grow() -> None:
    ids = [uuid7() for _ in range(20_000)]
    assert ids == sorted(set(ids))


def test_an_events_id_is_of_its_moment() -> None:
    """An id of the millisecond before would hide the event from a search from its time on."""
    draft = Draft(Actor.system("t"), Act.NODE_STATUS)

    def make(_number: int) -> tuple[int, int]:
        event = build(draft, log="t")
        return event.id.int >> 80, int(event.columns["at"].timestamp() * 1000 + 1e-4)

    with ThreadPoolExecutor(4) as pool:
        pairs = list(pool.map(make, range(5000)))
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


def test_a_moment_is_never_later_than_its_id() -> None:
    for _ in range(10_000):
        made, moment = stamp()
        assert made.int >> 80 >= moment // 1_000_000
