"""Copies of a person's names outside the log: who asked for an export, sign-in counters, sessions.

What another room keeps it says itself, when Django starts: `leftovers.also(clear)`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from uuid import UUID

from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.db.models import Q
from django.db.models.functions import Lower

from audit.office.models import Export, SavedSearch, SeenAddress, Verification

Clear = Callable[[UUID, Collection[str]], object]
GONE = "–"
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
    for queried in (Export, SavedSearch):
        _searches(queried, {str(person), *lower})
    SavedSearch.objects.filter(owner_id=person).delete()
    SeenAddress.objects.filter(person_id=str(person)).delete()
    AccessAttempt.objects.annotate(low=Lower("username")).filter(low__in=lower).delete()
    for session in Session.objects.iterator():
        if session.get_decoded().get("_auth_user_id") == str(person):
            session.delete()
    for other in _others:
        other(person, names)


def _searches(kind: type[Export] | type[SavedSearch], wanted: set[str]) -> None:
    """Filters that look for the person."""
    for row in kind._default_manager.exclude(query={}).filter(
        Q(query__has_key="person") | Q(query__has_key="object")
    ):
        if {str(value).lower() for value in row.query.values()} & wanted:
            row.delete()
