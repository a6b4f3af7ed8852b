"""Forms of cases and notes: shapes only."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class CaseForm(forms.Form):
    title = forms.CharField(
        label=_("Title"),
        max_length=120,
        help_text=_("What it is about, in a few words. It is no part of the log's evidence."),
    )


class NoteForm(forms.Form):
    text = forms.CharField(
        label=_("Note"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("It is kept beside the log, under your name; it can be added to, not changed."),
    )
