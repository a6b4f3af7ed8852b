"""What may be wished: labels, replicas, timetables; and recipes compared line by line."""

from __future__ import annotations

from datetime import datetime

import pytest

from access.errors import Invalid
from deployments import recipes
from deployments.models import Model, Revision
from deployments.revising import compare
from deployments.wishes import (
    kept_at,
    read_timetable,
    show_timetable,
    valid_labels,
    valid_replicas,
    valid_timetable,
)

# The 5th of January 2026 is a Monday.
MONDAY, SATURDAY = 5, 10


@pytest.mark.parametrize(
    ("lines", "day", "hour", "kept"),
    [
        ("Mon-Fri 08:00-18:00", MONDAY, 8, True),
        ("Mon-Fri 08:00-18:00", MONDAY, 18, False),
        ("Mon-Fri 08:00-18:00", SATURDAY, 9, False),
        ("Fri-Mon 08:00-18:00", SATURDAY, 9, True),
        ("Fri 22:00-06:00", SATURDAY, 5, True),
        ("Fri 22:00-06:00", SATURDAY, 6, False),
        ("Mon 00:00-00:00", MONDAY, 12, True),
    ],
)
def test_a_timetable_keeps_a_model_at_its_hours(
    lines: str, day: int, hour: int, kept: bool
) -> None:
    windows = valid_timetable(read_timetable(lines), "timetable")
    assert kept_at("timetable", windows, datetime(2026, 1, day, hour)) is kept


def test_a_timetable_is_shown_as_it_was_typed() -> None:
    text = "Mon-Fri 08:00-18:00\nSun 10:00-12:00"
    assert show_timetable(read_timetable(text)) == text


@pytest.mark.parametrize("text", ["always", "Mon 8-18", "Xyz 08:00-09:00", "Mon 25:00-26:00"])
def test_a_timetable_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        valid_timetable(read_timetable(text), "timetable")
    assert refused.value.field == "timetable"


@pytest.mark.parametrize(
    "windows", [[], "Mon", [{}], [{"days": [9], "from": "1", "to": "2"}], None]
)
def test_a_timetable_of_another_shape_is_refused(windows: object) -> None:
    with pytest.raises(Invalid):
        valid_timetable(windows, "timetable")


def test_labels_are_written_in_one_way() -> None:
    assert valid_labels([" GPU", "gpu", "", "Site=Lyon"]) == ["gpu", "site=lyon"]


@pytest.mark.parametrize("number", [0, -1, 101, "many", "1.5"])
def test_a_number_of_replicas_that_is_none_is_refused(number: object) -> None:
    with pytest.raises(Invalid) as refused:
        valid_replicas(number)
    assert refused.value.field == "replicas"


def test_a_deep_schema_ends_as_a_refusal_and_not_as_a_fault() -> None:
    with pytest.raises(Invalid):
        recipes.valid_schema("[" * 20_000 + "]" * 20_000)
    with pytest.raises(Invalid):
        recipes.valid_schema('{"not":' * 3000 + "{}" + "}" * 3000)


def test_two_revisions_differ_line_by_line() -> None:
    model = Model(name="m", digest="d" * 64)
    old = Revision(number=1, model=model, system_prompt="Be kind.\nBe brief.", parameters={})
    new = Revision(number=2, model=model, system_prompt="Be kind.\nBe exact.", parameters={})
    found = [(line.sign, line.text.strip()) for line in compare(old, new)]
    assert ("-", "Be brief.") in found
    assert ("+", "Be exact.") in found
    assert (" ", "Be kind.") in found
