"""People who are erased but whose values must be kept for a time: shown to nobody, found by none.

Known for some seconds, because every line of every list and export asks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django.db import connection

from audit.ledger.erasing import remains
from audit.office.content.models import Erasure, ErasureState

KNOWN_S = 5.0
_known: dict[str, frozenset[str]] = {}
_until = 0.0


def people() -> Mapping[str, frozenset[str]]:
    """The ids of their accounts, each with the names that they had, casefolded."""
    global _known, _until
    if time.monotonic() >= _until:
        # The thread of an export has no connection, and nobody would close one that it opens here.
        lent = connection.connection is None
        rows = Erasure.objects.exclude(state=ErasureState.DONE).values_list("person_id", "names")
        _known = {str(pk): frozenset(name.casefold() for name in names) for pk, names in rows}
        _until = time.monotonic() + KNOWN_S
        if lent:
            connection.close()
    return _known


def hides(person: str, name: str | None) -> bool:
    """Whether something by or about this account, or under this name, is shown without values."""
    known = people()
    if not known:
        return False
    return person in known or any((name or "").casefold() in names for names in known.values())


def forget() -> None:
    """Ask the database again: something has changed."""
    global _until
    _until = 0.0


def shown(leaf: dict[str, Any], values: Mapping[str, str]) -> dict[str, str]:
    """The personal values of an event that may be shown."""
    found = dict(values)
    for person, names in people().items():
        found = remains(leaf, found, person, names)
    return found
