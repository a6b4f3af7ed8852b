"""How a filter is recorded: whom it looked for is a personal value."""

from __future__ import annotations

from collections.abc import Mapping

from audit.ledger.log import Change
from audit.office.filters import PERSONAL, Filter


def as_changes(wanted: Filter, old: Mapping[str, str] | None = None) -> list[Change]:
    """old: the texts of the filter that it takes the place of."""
    before, after = old or {}, wanted.active()
    return [
        Change(name, before.get(name), after.get(name), private=name in PERSONAL)
        for name in dict.fromkeys([*before, *after])
    ]
