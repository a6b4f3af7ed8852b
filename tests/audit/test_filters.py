"""Reading a filter: typed, times made exact, and errors that name the field."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.http import QueryDict
from django.utils import timezone

from access.errors import Invalid
from audit.office.filters import Filter
from audit.office.search import first_id, last_id


def test_an_empty_form_is_an_empty_filter() -> None:
    names = [
        "person",
        "act",
        "object",
        "deployment",
        "outcome",
        "request",
        "address",
        "start",
        "end",
    ]
    assert Filter.parse(dict.fromkeys(names, " ")) == Filter()
    assert Filter.parse(QueryDict("person=&unknown=x").dict()).active() == {}


def test_every_field_is_read_and_can_be_read_again() -> None:
    query = (
        "person=li.wei&act=key.issue&object=%E5%AE%A2%E6%9C%8D&deployment=claims&outcome=denied"
        "&request=r-1&address=10.0.0.7&start=2026-11-01&end=2026-11-30T10:00"
    )
    found = Filter.parse(QueryDict(query).dict())
    assert (found.person, found.object, found.address) == ("li.wei", "客服", "10.0.0.7")
    assert found.start == datetime(2026, 11, 1, tzinfo=UTC)
    assert Filter.parse(found.active()) == found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("act", "key.steal"),
        ("act", "node.view"[:5]),
        ("outcome", "fine"),
        ("address", "10.0.0.999"),
        ("address", "localhost"),
        ("start", "yesterday"),
        ("start", "2026-13-01"),
        ("end", "2026-11-31"),
        ("end", "2026-11-30T25:00"),
        ("end", "0001-01-01T00:00+23:59"),
        ("end", "9999-12-31T23:59-23:59"),
        ("end", "9999-12-31T23:59:59Z"),
        ("start", "0001-01-01T00:00:00Z"),
        ("start", "1969-12-30"),
        ("end", "3000-01-02"),
        ("person", "x" * 201),
        ("object", "a\x00b"),
    ],
)
def test_an_error_names_its_field(field: str, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        Filter.parse({field: value})
    assert refused.value.field == field
    assert str(refused.value)


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        Filter.parse({"start": "2026-11-02", "end": "2026-11-01"})
    assert refused.value.field == "end"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-30", "2026-11-30T23:59:59.999999"),
        ("2026-11-30T10:05", "2026-11-30T10:05:59.999999"),
        ("2026-11-30 10:05", "2026-11-30T10:05:59.999999"),
        ("2026-11-30T10:05:07", "2026-11-30T10:05:07"),
    ],
)
def test_an_end_is_included(text: str, moment: str) -> None:
    assert Filter.parse({"end": text}).end == datetime.fromisoformat(moment + "+00:00")


def test_times_are_those_of_the_house() -> None:
    with timezone.override("Asia/Shanghai"):
        found = Filter.parse({"start": "2026-11-01", "end": "2026-11-01T12:00:00+01:00"})
    assert found.start == datetime(2026, 10, 31, 16, tzinfo=UTC)
    assert found.end == datetime(2026, 11, 1, 11, tzinfo=UTC)


def test_the_first_and_the_last_day_can_be_asked_for_in_every_zone() -> None:
    for zone in ("UTC", "Asia/Shanghai", "America/New_York"):
        with timezone.override(zone):
            found = Filter.parse({"start": "1970-01-01", "end": "2999-12-31"})
            assert Filter.parse(found.active()) == found


@pytest.mark.parametrize("year", [1, 1969, 1970, 2026, 9999])
def test_any_year_has_ids(year: int) -> None:
    moment = datetime(year, 6, 1, 12, 30, 15, 123_456, tzinfo=UTC)
    assert first_id(moment) < last_id(moment)
    assert first_id(moment).int & ((1 << 80) - 1) == 0


@pytest.mark.parametrize("zone", ["Europe/London", "Asia/Shanghai", "Africa/Monrovia"])
def test_a_moment_is_the_same_in_every_zone(zone: str) -> None:
    """London was an hour ahead all through 1970, Monrovia 44 minutes behind."""
    moment = datetime(2026, 1, 15, 12, 30, tzinfo=UTC)
    assert first_id(moment.astimezone(ZoneInfo(zone))) == first_id(moment)
