"""What this process has under way and where, which nodes it leaves alone, which it picks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gateway.directory import Endpoint

PAUSE_S, PAUSE_MOST_S = 1.0, 30.0


@dataclass(slots=True)
class _Pause:
    until: float
    seconds: float


class Load:
    """Counted from admission to the last byte. A node that fails is left alone, ever longer."""

    def __init__(self) -> None:
        self.on_node: Counter[str] = Counter()
        self.on_replica: Counter[str] = Counter()
        self._pauses: dict[str, _Pause] = {}

    @property
    def total(self) -> int:
        return self.on_replica.total()

    def enter(self, endpoint: Endpoint) -> None:
        self.on_node[endpoint.node.id] += 1
        self.on_replica[endpoint.id] += 1

    def leave(self, endpoint: Endpoint) -> None:
        for counter, key in ((self.on_node, endpoint.node.id), (self.on_replica, endpoint.id)):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]

    def failed(self, endpoint: Endpoint) -> None:
        """Leave the node alone: a second at first, twice as long each time it fails again."""
        known = self._pauses.get(endpoint.node.id)
        seconds = min(known.seconds * 2, PAUSE_MOST_S) if known else PAUSE_S
        self._pauses[endpoint.node.id] = _Pause(time.monotonic() + seconds, seconds)

    def answered(self, endpoint: Endpoint) -> None:
        self._pauses.pop(endpoint.node.id, None)

    def pick(
        self, endpoints: Iterable[Endpoint], tried: Collection[str] = frozenset()
    ) -> Endpoint | None:
        """The one whose node has the least under way; one that was left alone only for lack of
        another, because a bad chance is better than a sure refusal."""
        now = time.monotonic()

        def order(endpoint: Endpoint) -> tuple[bool, float, int]:
            pause = self._pauses.get(endpoint.node.id)
            until = pause.until if pause and pause.until > now else 0.0
            return not endpoint.node.up or until > 0, until, self.on_node[endpoint.node.id]

        left = [endpoint for endpoint in endpoints if endpoint.id not in tried]
        return min(left, key=order, default=None)

    def report(self) -> dict[str, int]:
        """Requests under way by replica."""
        return dict(self.on_replica)
