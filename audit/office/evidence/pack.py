"""A framework's clauses with what the running installation answers to each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from access.errors import Missing
from audit.office.evidence import checks_log, checks_people, checks_use
from audit.office.evidence.finding import NO_CLAIM, ORDER, VERDICT_NAMES, Check, Finding

FOLDER = Path(__file__).parent / "frameworks"
FRAMEWORKS = ("mlps-l3", "csl", "eu-ai-act", "soc2", "iso42001")
# How sure we are of a clause's text.
MARKS: dict[str, tuple[str, str | Promise]] = {
    "V": ("read", _("text read in a source")),
    "S": ("secondary", _("text known from secondary sources only")),
    "M": ("memory", _("text not read by us: from memory, check before quoting")),
}
CHECKS: dict[str, Check] = {
    **{
        check.__name__: check
        for check in (
            checks_log.always_on,
            checks_log.fields,
            checks_log.append_only,
            checks_log.verified,
            checks_log.sealer,
            checks_log.interruptions,
            checks_log.outside,
            checks_log.siem,
            checks_log.time_stamps,
            checks_log.kept_long_enough,
            checks_log.backup,
            checks_log.clock,
            checks_log.writers,
            checks_log.exports,
            checks_people.roles,
            checks_people.passwords,
            checks_people.first_passwords,
            checks_people.lockout,
            checks_people.idle,
            checks_people.tls,
            checks_people.second_factor,
            checks_people.stale_accounts,
            checks_people.grants,
            checks_people.denials,
            checks_people.keys,
            checks_people.acts_of_system,
            checks_people.acts_of_security,
            checks_people.acts_of_audit,
            checks_use.inference,
            checks_use.content,
            checks_use.erasure,
            checks_use.assessments,
            checks_use.labels,
            checks_use.stops,
            checks_use.changes,
            checks_use.drift,
            checks_use.model_approval,
            checks_use.alarms,
            checks_use.second_person,
        )
    },
    "hash": checks_log.hash_profile,
}


@dataclass(frozen=True)
class Clause:
    """One clause of a framework and what was found for it."""

    data: dict[str, Any]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """The worst of what was found; nothing is claimed where nothing was asked."""
        found = {finding.verdict for finding in self.findings}
        return next((verdict for verdict in ORDER if verdict in found), NO_CLAIM)

    @property
    def number(self) -> str:
        return str(self.data["clause"])

    @property
    def text(self) -> str:
        return _in_language(self.data["text"])

    @property
    def what(self) -> str:
        return _in_language(self.data["what"])

    @property
    def note(self) -> str:
        return _in_language(self.data["note"]) if "note" in self.data else ""

    @property
    def mark(self) -> str:
        return str(self.data["mark"])

    @property
    def certainty(self) -> str:
        return str(MARKS[self.mark][1])

    @property
    def verdict_name(self) -> str:
        return str(VERDICT_NAMES[self.verdict])


@dataclass(frozen=True)
class Pack:
    """A framework's clauses; texts are made when they are read, in whatever language that is."""

    key: str
    titles: dict[str, str]
    made_at: datetime
    log: str
    clauses: tuple[Clause, ...]

    @property
    def title(self) -> str:
        return _in_language(self.titles)

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(clause.verdict for clause in self.clauses)
        return {verdict: found.get(verdict, 0) for verdict in ORDER}

    @property
    def summary(self) -> list[tuple[str, str, int]]:
        """(verdict, its name, how often), the worst first."""
        return [(verdict, str(VERDICT_NAMES[verdict]), n) for verdict, n in self.counts.items()]

    def as_json(self) -> dict[str, Any]:
        return {
            "framework": self.key,
            "title": self.title,
            "log": self.log,
            "made_at": self.made_at.isoformat(timespec="seconds"),
            "language": _language(),
            "counts": self.counts,
            "clauses": [_clause_json(clause) for clause in self.clauses],
        }


def build(key: str) -> Pack:
    """Ask the running installation every question once. Raises Missing for no such framework."""
    data = read(key)
    asked: dict[str, Finding] = {}
    for clause in data["clauses"]:
        for name in clause["checks"]:
            if name not in asked:
                asked[name] = CHECKS[name]()
    clauses = tuple(Clause(c, tuple(asked[n] for n in c["checks"])) for c in data["clauses"])
    return Pack(key, data["title"], timezone.now(), settings.FUSEBOX_LOG_ORIGIN, clauses)


def titles() -> Iterator[tuple[str, str]]:
    """(key, title in the reader's language) of each framework."""
    for key in FRAMEWORKS:
        yield key, _in_language(read(key)["title"])


@lru_cache
def read(key: str) -> dict[str, Any]:
    if key not in FRAMEWORKS:
        raise Missing(_("There is no such framework here."))
    found: dict[str, Any] = json.loads((FOLDER / f"{key}.json").read_text(encoding="utf-8"))
    return found


def _clause_json(clause: Clause) -> dict[str, Any]:
    """What is not read is said in the text itself, so that nobody quotes it unaware."""
    text = clause.text if clause.mark == "V" else f"[{clause.certainty}] {clause.text}"
    return {
        "clause": clause.number,
        "text": text,
        "certainty": MARKS[clause.mark][0],
        "note": clause.note,
        "what": clause.what,
        "setting": " ".join(str(f.setting) for f in clause.findings),
        "proof": " ".join(str(f.proof) for f in clause.findings),
        "verdict": clause.verdict,
        "checks": [
            {"setting": str(f.setting), "proof": str(f.proof), "verdict": f.verdict}
            for f in clause.findings
        ],
    }


def _language() -> str:
    return "zh" if (translation.get_language() or "en").startswith("zh") else "en"


def _in_language(texts: dict[str, str]) -> str:
    return texts[_language()]
