"""Copies of a person's names outside the log: exports, sign-in counters, sessions.

What another room keeps it says itself, when Django starts: `leftovers.also(clear)`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from uuid import UUID

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Lower

from audit.office.models import Export, SavedSearch, SeenAddress, Verification

Clear = Callable[[UUID, Collection[str]], object]
GONE = "–"
# Only commitments to names are in these; every other format opens them.
COMMITTED = ("jsonl", "bundle")
LOOKS = Q(query__has_key="person") | Q(query__has_key="object")
_others: list[Clear] = []


def also(clear: Clear) -> None:
    """Another room's part: called with the person's id and names, in the erasing transaction."""
    if clear not in _others:
        _others.append(clear)


def clear(person: UUID, names: Collection[str]) -> None:
    """Inside the transaction that erases the account."""
    lower = [name.lower() for name in names]
    for kind in (Export, Verification):
        kind._default_manager.filter(requester_id=str(person)).update(requester=GONE)
    wanted = {str(person), *lower}
    _exports(wanted)
    for row in SavedSearch.objects.filter(LOOKS):
        if _looks_for(row.query, wanted):
            row.delete()
    SavedSearch.objects.filter(owner_id=person).delete()
    SeenAddress.objects.filter(person_id=str(person)).delete()
    AccessAttempt.objects.annotate(low=Lower("username")).filter(low__in=lower).delete()
    for session in Session.objects.iterator():
        if session.get_decoded().get("_auth_user_id") == str(person):
            session.delete()
    for other in _others:
        other(person, names)


def _exports(wanted: set[str]) -> None:
    """Exports in which names stand opened: nobody looks whether this one is in it. One that is
    being made ends, since its row is gone; one that nobody began is made of what is shown now.
    No hold covers them: they are copies for a day, and what they were made of is kept."""
    gone = [
        row
        for row in Export.objects.select_for_update()
        if (row.attempt and row.format not in COMMITTED) or _looks_for(row.query, wanted)
    ]
    Export.objects.filter(pk__in=[row.pk for row in gone]).delete()
    transaction.on_commit(partial(_unlink, [row.stored for row in gone if row.stored]))


def _unlink(names: list[str]) -> None:
    for name in names:
        (settings.EXPORTS / name).unlink(missing_ok=True)


def _looks_for(query: Mapping[str, str], wanted: set[str]) -> bool:
    return any(str(value).lower() in wanted for value in query.values())
