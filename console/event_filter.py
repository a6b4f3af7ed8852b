"""The filter of the events' page: what its form sends, what it shows, and its chips."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit.office.filter_words import LABELS, in_words
from audit.office.filters import Filter

TIMES = ("start", "end")
EXACT = "_exact"


def typed(query: QueryDict) -> dict[str, str]:
    """The fields as they were filled in."""
    return {name: query.get(name, "") for name in (*LABELS, *(time + EXACT for time in TIMES))}


def sent(query: QueryDict) -> dict[str, str]:
    """The fields as texts. A time that was left as it was shown stands for the very moment it was
    shown for: a field has no parts of a second, and not both of the hours that a clock repeats."""
    values = typed(query)
    for name in TIMES:
        exact = values.pop(name + EXACT)
        if exact and _shows(values[name], exact):
            values[name] = exact
    return values


def shown(wanted: Filter) -> dict[str, str]:
    """The times as the form's fields show them, and exactly."""
    found = {}
    for name in TIMES:
        moment: datetime | None = getattr(wanted, name)
        found[name] = f"{timezone.localtime(moment):%Y-%m-%dT%H:%M:%S}" if moment else ""
        found[name + EXACT] = moment.isoformat() if moment else ""
    return found


def _shows(text: str, exact: str) -> bool:
    try:
        given, moment = parse_datetime(text), parse_datetime(exact)
        if given is None or moment is None:
            return False
        return timezone.localtime(moment).replace(tzinfo=None, microsecond=0) == given
    except (ValueError, OverflowError):
        return False


def chips(wanted: Filter) -> list[dict[str, Any]]:
    """The filters in force in words, each with the address of the page without it."""
    active = wanted.active()
    return [
        {
            "label": label,
            "value": value,
            "without": urlencode({k: v for k, v in active.items() if k != name}),
        }
        for name, (label, value) in in_words(wanted).items()
    ]
