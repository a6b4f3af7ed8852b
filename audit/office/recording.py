"""How a filter is recorded: whom it looked for is a personal value."""

from __future__ import annotations

from audit.ledger.log import Change
from audit.office.filters import PERSONAL, Filter


def as_changes(wanted: Filter) -> list[Change]:
    return [
        Change(name, None, value, private=name in PERSONAL)
        for name, value in wanted.active().items()
    ]
