"""Samples of one's own: what somebody types to try a scenario with, read and bounded.

They may hold personal data. So they stand in rows of their own that are deleted an hour after the
trial ended, or at once when somebody says so; neither the log nor the operation gets a word of
them, only their number and the figures (docs/decisions/0016).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from deployments import scenarios
from deployments.models import FINAL, Operation
from deployments.scenarios import Sample, Scenario

MOST = 3
MAX_TEXT = 8000
MAX_EXPECTED = 1000
KEPT = timedelta(hours=1)
# One whose trial never ended goes, too.
KEPT_AT_MOST = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Given:
    """As typed. `expected`: for a scenario with a schema lines of `field = value`, else words that
    the answer must contain, one a line."""

    text: str
    expected: str = ""


def checked(scenario: Scenario, given: Sequence[Given]) -> list[Sample]:
    """The samples, if all of them are possible. Raises Invalid that names the field, counted from 1
    as the page does."""
    if len(given) > MOST:
        raise Invalid(_("At most %(most)d texts of your own.") % {"most": MOST}, field="text_1")
    return [_checked(scenario, number, each) for number, each in enumerate(given, 1)]


def _checked(scenario: Scenario, number: int, given: Given) -> Sample:
    text, expected = given.text.replace("\r\n", "\n").strip(), given.expected.strip()
    at = f"text_{number}"
    if not text:
        raise Invalid(_("There is no text to this expectation."), field=at)
    if len(text) > MAX_TEXT or len(expected) > MAX_EXPECTED:
        raise Invalid(
            _("A text may have %(text)d characters, what is expected %(expected)d.")
            % {"text": MAX_TEXT, "expected": MAX_EXPECTED},
            field=at,
        )
    if "\x00" in text + expected:
        raise Invalid(_("This text contains a NUL character."), field=at)
    lines = [line.strip() for line in expected.splitlines() if line.strip()]
    if scenario.schema is None:
        return Sample(text, text, words=tuple(lines))
    fields = dict(_field(line, number) for line in lines)
    try:
        scenarios.check_fields(fields, scenario.schema)
    except scenarios.Malformed as error:
        raise Invalid(str(error), field=f"expected_{number}") from error
    return Sample(text, text, fields=fields)


def _field(line: str, number: int) -> tuple[str, Any]:
    """`urgent = true`: a value as JSON has it, else the words as they stand."""
    name, equals, value = (part.strip() for part in line.partition("="))
    if not (name and equals):
        raise Invalid(
            _("Write what is expected as lines of field = value."), field=f"expected_{number}"
        )
    try:
        return name, orjson.loads(value)
    except orjson.JSONDecodeError:
        return name, value


def as_rows(samples: Sequence[Sample]) -> list[Mapping[str, Any]]:
    return [
        {"number": number, "text": s.en, "fields": s.fields, "words": list(s.words)}
        for number, s in enumerate(samples, 1)
    ]


def overdue() -> list[Operation]:
    """Trials whose own texts have been kept long enough."""
    now = timezone.now()
    ended = Q(state__in=FINAL, finished_at__lt=now - KEPT)
    rows = Operation.objects.filter(own_samples__isnull=False)
    return list(rows.filter(ended | Q(created_at__lt=now - KEPT_AT_MOST)).distinct()[:100])
