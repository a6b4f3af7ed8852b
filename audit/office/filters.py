"""What an auditor looks for: a typed filter, read from a form or an address. Asks no database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from ipaddress import ip_address
from uuid import UUID

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from audit.ledger.acts import REGISTRY, Act
from audit.ledger.event import OUTCOMES

MAX_TEXT = 200
# A day more at each end, for the zones.
FIRST, LAST = datetime(1969, 12, 31, tzinfo=UTC), datetime(3000, 1, 2, tzinfo=UTC)
SECONDS = re.compile(r"\d\d:\d\d:\d\d")
# Values about a person: in the events of a search and of an export they are committed to only.
PERSONAL = ("person", "object", "address")
CATEGORIES = tuple(dict.fromkeys(a.category for a in Act if REGISTRY[a].recorded))


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; a field that is empty means anything.

    person: the id of an account, or a part of a user or display name. act: an act, or a whole
    category such as `key`. object: the id or the exact name of what was acted upon. start and end:
    moments, both included, in UTC. case: the id of a case, for the events that it collects.
    """

    person: str = ""
    act: str = ""
    object: str = ""
    deployment: str = ""
    outcome: str = ""
    request: str = ""
    address: str = ""
    case: str = ""
    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Filter:
        """From a form's fields. Times are the house's, or have an offset; a day or a minute as
        end means all of it. Raises access.errors.Invalid that names the field."""
        given = {f.name: _text(f.name, values.get(f.name, "")) for f in fields(cls)}
        if given["act"] and given["act"] not in {*Act, *CATEGORIES}:
            raise Invalid(_("There is no such action."), field="act")
        if given["outcome"] and given["outcome"] not in OUTCOMES:
            raise Invalid(_("There is no such outcome."), field="outcome")
        given["address"] = _address(given["address"])
        given["case"] = _case(given["case"])
        start = _moment("start", given.pop("start"))
        end = _moment("end", given.pop("end"))
        if start and end and start > end:
            raise Invalid(_("The end is before the beginning."), field="end")
        return cls(**given, start=start, end=end)

    def active(self) -> dict[str, str]:
        """The fields that are set, as texts that `parse` reads back."""
        found = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value:
                found[field.name] = value.isoformat() if isinstance(value, datetime) else value
        return found


def _text(name: str, value: object) -> str:
    text = str(value).strip()
    if len(text) > MAX_TEXT:
        raise Invalid(_("This is too long."), field=name)
    return without_nul(name, text)


def without_nul(name: str, text: str) -> str:
    """PostgreSQL's texts have none: neither an event nor what is kept beside it."""
    if "\x00" in text:
        raise Invalid(_("This has a character that no event has."), field=name)
    return text


def _address(text: str) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError as error:
        raise Invalid(_("Write an address such as 10.0.0.7."), field="address") from error


def _case(text: str) -> str:
    try:
        return str(UUID(text)) if text else ""
    except ValueError as error:
        raise Invalid(_("There is no such case."), field="case") from error


def _moment(name: str, text: str) -> datetime | None:
    if not text:
        return None
    end = name == "end"
    try:
        moment = _read_day(text, end=end) or _read_time(text, end=end)
        if moment is not None:
            return _within(name, moment.astimezone(UTC))
    except (ValueError, OverflowError):
        pass
    raise Invalid(_("Write a time such as 2026-11-23 or 2026-11-23 14:05."), field=name)


def _within(name: str, moment: datetime) -> datetime:
    """What every zone, database and file can hold."""
    if not FIRST <= moment < LAST:
        raise Invalid(_("Write a time between 1970 and 2999."), field=name)
    return moment


def _read_day(text: str, *, end: bool) -> datetime | None:
    day: date | None = parse_date(text)
    if day is None:
        return None
    return timezone.make_aware(datetime.combine(day, time.max if end else time.min))


def _read_time(text: str, *, end: bool) -> datetime | None:
    moment = parse_datetime(text)
    if moment is None:
        return None
    if end and not SECONDS.search(text):
        moment = moment.replace(second=59, microsecond=999_999)
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
