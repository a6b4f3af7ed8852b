"""A filter in words: on pages, and in files that say what they were made of."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.office.filters import Filter
from audit.office.models import Case
from audit.office.reading import CATEGORY_NAMES, OUTCOME_NAMES, sentence

LABELS = {
    "person": _("Person"),
    "act": _("Action"),
    "object": _("Object"),
    "deployment": _("Deployment"),
    "outcome": _("Outcome"),
    "start": _("From"),
    "end": _("To"),
    "request": _("Request id"),
    "address": _("Address"),
    "case": _("Case"),
}


def in_words(wanted: Filter) -> dict[str, tuple[str, str]]:
    """Of each field that is set its label and its value, in the language and the zone of now."""
    return {name: (str(LABELS[name]), _value(wanted, name)) for name in wanted.active()}


def _value(wanted: Filter, name: str) -> str:
    value = getattr(wanted, name)
    if name in ("start", "end"):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S %z}"
    if name == "act":
        return str(CATEGORY_NAMES.get(value) or sentence(value))
    if name == "case":
        return str(Case.objects.filter(pk=value).first() or value)
    if name == "outcome":
        return str(OUTCOME_NAMES[value])
    return str(value)
