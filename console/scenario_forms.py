"""The form that tries a scenario: which models, and texts of one's own. Shapes only."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from deployments import own_samples, scenarios
from deployments.models import Model
from deployments.own_samples import Given
from deployments.scenarios import Scenario

NUMBERS = range(1, own_samples.MOST + 1)


class TryForm(forms.Form):
    language = forms.ChoiceField(choices=[(code, code) for code in scenarios.LANGUAGES])
    models = forms.ModelMultipleChoiceField(
        label=_("Models"), queryset=Model.objects.filter(stored__isnull=False).distinct()
    )

    def __init__(self, scenario: Scenario, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number in NUMBERS:
            self.fields[f"text_{number}"] = forms.CharField(
                label=gettext("Text %(number)d") % {"number": number},
                required=False,
                max_length=own_samples.MAX_TEXT,
                widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
            )
            self.fields[f"expected_{number}"] = forms.CharField(
                label=_("What is expected"),
                required=False,
                max_length=own_samples.MAX_EXPECTED,
                widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off"}),
                help_text=_expected(scenario),
            )

    def pairs(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        return [(self[f"text_{n}"], self[f"expected_{n}"]) for n in NUMBERS]

    def given(self) -> list[Given]:
        """What was typed. Empty ones at the end are left out; one between stays, so that errors
        stand where they belong."""
        found = [
            Given(self.cleaned_data[f"text_{n}"], self.cleaned_data[f"expected_{n}"])
            for n in NUMBERS
        ]
        return [each for each in found if each.text.strip() or each.expected.strip()]

    @property
    def asked(self) -> set[str] | None:
        """The models that were ticked; None before anything was."""
        return set(self["models"].value() or []) if self.is_bound else None

    @property
    def has_own(self) -> bool:
        """Whether something was typed: then it is to be seen."""
        return any(bound.value() for pair in self.pairs() for bound in pair)


def _expected(scenario: Scenario) -> str:
    """How to write it down, with the names of this scenario's fields."""
    if scenario.schema is None:
        return gettext("Words that the answer must contain, one a line. May stay empty.")
    names = ", ".join(list(scenario.schema.get("properties", {}))[:8])
    return gettext("One a line, as field = value. May stay empty. Fields: %(names)s.") % {
        "names": names
    }
