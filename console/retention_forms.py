"""Forms of keeping: shapes only. What is allowed is decided by the verbs."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from access.models import User
from audit.office.models import HoldKind
from deployments.models import Deployment

LATER = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class ReleaseForm(forms.Form):
    """Why; the second person reads it, and so does the log."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.Textarea(attrs={"rows": 2})
    )


class RetentionForm(ReleaseForm):
    days = forms.IntegerField(label=_("Events are kept (days)"))
    outside_days = forms.IntegerField(label=_("Exports and what was sent outside (days)"))
    field_order = ("days", "outside_days", "reason")


class HoldForm(ReleaseForm):
    kind = forms.ChoiceField(label=_("Hold"), choices=HoldKind.choices)
    event = forms.CharField(
        label=_("Event"), max_length=40, required=False, help_text=_("Its id, as its page shows it")
    )
    person = forms.ModelChoiceField(
        label=_("Person or service account"), queryset=User.objects.all(), required=False
    )
    deployment = forms.ModelChoiceField(
        label=_("Deployment"), queryset=Deployment.objects.all(), required=False
    )
    from_at = forms.DateTimeField(label=_("From"), required=False, widget=LATER)
    to_at = forms.DateTimeField(label=_("Until before"), required=False, widget=LATER)
    field_order = ("kind", "event", "person", "deployment", "from_at", "to_at", "reason")
