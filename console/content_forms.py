"""Forms about captured content and erasure: shapes only. The verbs decide what is allowed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as translated
from django.utils.translation import gettext_lazy as _

from audit.office.actions.erasure import BASES
from audit.office.content.terms import Terms


def _reason(help_text: Any) -> forms.CharField:
    return forms.CharField(
        label=_("Reason"),
        max_length=500,
        help_text=help_text,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class CaptureForm(forms.Form):
    """What is to be kept of a deployment, and the assessment of what that does to people."""

    prompt = forms.BooleanField(label=_("Prompts: what people ask"), required=False)
    answer = forms.BooleanField(label=_("Answers: what the model says"), required=False)
    percent = forms.IntegerField(
        label=_("Share of requests (percent)"), min_value=1, max_value=100, initial=100
    )
    days = forms.IntegerField(
        label=_("Kept for (days)"),
        min_value=1,
        initial=30,
        help_text=_("Then it is destroyed, in backups of the database, too."),
    )
    purpose = forms.CharField(
        label=_("Purpose"),
        max_length=500,
        help_text=_("Members read this before they type."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    necessity = forms.CharField(
        label=_("Why it is necessary"),
        max_length=2000,
        help_text=_("Why the purpose cannot be reached with less, and what it does to people."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    protection = forms.CharField(
        label=_("How people are protected"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    reason = _reason(_("For the second person who decides."))

    def terms(self) -> Terms:
        values = {k: v for k, v in self.cleaned_data.items() if k != "reason"}
        return Terms(**values)


class OpeningForm(forms.Form):
    """What an auditor asks to read."""

    deployment = forms.ChoiceField(label=_("Deployment"))
    start = forms.DateTimeField(
        label=_("From"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    end = forms.DateTimeField(
        label=_("To"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    person = forms.UUIDField(
        label=_("Only this account"),
        required=False,
        help_text=_("The id of an account, as an event shows it. Empty: everybody."),
    )
    minutes = forms.IntegerField(
        label=_("Minutes"),
        min_value=1,
        initial=30,
        help_text=_("They begin when the second person agrees."),
    )
    reason = _reason(_("Why it must be read. It stays in the log, with every single reading."))


class ErasureForm(forms.Form):
    """Why a person is erased."""

    basis = forms.ChoiceField(label=_("Ground"))
    reason = _reason(_("For the second person who decides. Write no names: this stays."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        basis = self.fields["basis"]
        assert isinstance(basis, forms.ChoiceField)  # noqa: S101  for the type checker
        basis.choices = [(key, translated(text)) for key, text in BASES.items()]
