"""What came of trying a scenario: figures for each model, and the smallest that passes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from access.said import Text, from_json, to_json

FIGURES = (
    "model",
    "digest",
    "size",
    "node",
    "context",
    "memory",
    "load_ms",
    "passed",
    "asked",
    "first_ms",
    "total_ms",
    "rate",
    "problem",
)


@dataclass(frozen=True, slots=True)
class Tried:
    """One model. Durations are means in milliseconds, `rate` in tokens a second, sizes in bytes.
    `context`: the tokens that it was asked with."""

    id: str
    model: str
    digest: str
    size: int
    node: str
    context: int
    problem: Text
    memory: int
    load_ms: int
    samples: list[dict[str, Any]]
    ended: bool

    @property
    def asked(self) -> int:
        return len(self.samples)

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

    def figures(self) -> dict[str, Any]:
        """Without the answers."""
        return {name: getattr(self, name) for name in FIGURES} | {"problem": to_json(self.problem)}

    def _mean(self, name: str) -> int:
        return round(sum(s[name] for s in self.samples) / len(self.samples)) if self.samples else 0


def tried(result: Mapping[str, Mapping[str, Any]]) -> list[Tried]:
    """The models of an operation's result, smallest first."""
    found = [
        Tried(
            pk,
            str(entry["model"]),
            str(entry.get("digest", "")),
            int(entry.get("size", 0)),
            str(entry.get("node", "")),
            int(entry.get("context", 0)),
            from_json(entry["problem"]),
            int(entry.get("memory", 0)),
            int(entry.get("load_ms", 0)),
            list(entry["samples"]),
            bool(entry.get("ended")),
        )
        for pk, entry in result.items()
    ]
    return sorted(found, key=lambda each: (each.size, each.model))


def proposal(found: list[Tried]) -> Tried | None:
    """The smallest that passes every sample."""
    return next((each for each in found if each.passes), None)


def smaller(found: list[Tried], proposed: Tried) -> list[Tried]:
    """Those that were tried, are smaller and did not pass: the reason for the proposal."""
    return [each for each in found if each.size < proposed.size]


def progress(arguments: Mapping[str, Any], found: list[Tried]) -> tuple[int, int]:
    """Answers so far, and how many there will be."""
    each = int(arguments.get("samples", 0))
    models = arguments.get("models", [])
    done = sum(each if t.ended else len(t.samples) for t in found)
    return done, each * len(models)
