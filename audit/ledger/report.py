"""What a verification found: integrity and completeness apart, and the exit code of both."""

from __future__ import annotations

from dataclasses import dataclass, field

FINE, TAMPERED, INCOMPLETE, CANNOT, BAD_INPUT = range(5)
MOST = 20


@dataclass
class Report:
    """Findings as sentences, the first of each kind first. At most MOST of a kind are kept.

    integrity: something is not what was sealed. completeness: something is missing.
    cannot: what could not be checked. notes: what is lawful and worth knowing. removed: events that
    retention has removed, each accounted for by an event of the log. size: leaves of all trees that
    were verified; newest: leaves of the newest tree, whose origin is given.
    """

    integrity: list[str] = field(default_factory=list)
    completeness: list[str] = field(default_factory=list)
    cannot: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    origin: str = ""
    events: int = 0
    size: int = 0
    newest: int = 0
    checkpoints: int = 0
    removed: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def tampered(self, text: str) -> None:
        self._add("integrity", self.integrity, text)

    def tampered_events(self, texts: list[str], count: int) -> None:
        """Events that were changed, before all else: the first of them, and how many."""
        self.counts["integrity"] = self.counts.get("integrity", 0) + count
        self.integrity[:] = [*texts, *self.integrity][:MOST]

    def incomplete(self, text: str) -> None:
        self._add("completeness", self.completeness, text)

    def unable(self, text: str) -> None:
        self._add("cannot", self.cannot, text)

    def _add(self, kind: str, texts: list[str], text: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if len(texts) < MOST:
            texts.append(text)

    @property
    def exit_code(self) -> int:
        """0 fine, 1 tampered, 2 incomplete or rolled back, 3 cannot verify."""
        if self.integrity:
            return TAMPERED
        if self.completeness:
            return INCOMPLETE
        return CANNOT if self.cannot else FINE

    @property
    def first(self) -> str:
        """The first bad finding, empty when there is none."""
        return next(iter([*self.integrity, *self.completeness, *self.cannot]), "")

    def lines(self) -> list[str]:
        """For people, in English: two verdicts and what they rest on."""
        return [
            f"log            {self.origin or '(none)'}",
            f"events         {self.events} of {self.size} leaves match their positions",
            f"checkpoints    {self.checkpoints} signed heads checked",
            *self._removed(),
            *(f"note           {text}" for text in self.notes),
            *self._verdict("integrity", self.integrity, "TAMPERED"),
            *self._verdict("completeness", self.completeness, "INCOMPLETE"),
            *(f"not verified   {text}" for text in self.cannot),
            f"exit code      {self.exit_code}",
        ]

    def _removed(self) -> list[str]:
        return [f"removed        {self.removed} by retention, as the log says"][: self.removed]

    def _verdict(self, name: str, texts: list[str], bad: str) -> list[str]:
        lines = [f"{name:14} {bad if texts else 'ok' if not self.cannot else 'not fully verified'}"]
        lines += [f"               {text}" for text in texts]
        if (more := self.counts.get(name, 0) - len(texts)) > 0:
            lines.append(f"               … and {more} more")
        return lines
