"""What came of trying a scenario: figures for each model, and the smallest that passes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tried:
    """One model. Durations are means in milliseconds, `rate` in tokens a second, sizes in bytes."""

    id: str
    model: str
    size: int
    node: str
    problem: str
    memory: int
    samples: list[dict[str, Any]]
    ended: bool

    @property
    def passed(self) -> int:
        return sum(not sample["problems"] for sample in self.samples)

    @property
    def passes(self) -> bool:
        return self.ended and not self.problem and self.passed == len(self.samples) > 0

    @property
    def first_ms(self) -> int:
        return self._mean("first_ms")

    @property
    def total_ms(self) -> int:
        return self._mean("total_ms")

    @property
    def rate(self) -> int:
        return self._mean("rate")

    def _mean(self, name: str) -> int:
        return round(sum(s[name] for s in self.samples) / len(self.samples)) if self.samples else 0


def tried(result: Mapping[str, Mapping[str, Any]]) -> list[Tried]:
    """The models of an operation's result, smallest first."""
    found = [
        Tried(
            pk,
            str(entry["model"]),
            int(entry.get("size", 0)),
            str(entry.get("node", "")),
            str(entry["problem"]),
            int(entry.get("memory", 0)),
            list(entry["samples"]),
            bool(entry.get("ended")),
        )
        for pk, entry in result.items()
    ]
    return sorted(found, key=lambda each: (each.size, each.model))


def proposal(found: list[Tried]) -> Tried | None:
    """The smallest that passes every sample."""
    return next((each for each in found if each.passes), None)
