"""Forms of the pages: shapes only. What is allowed is decided by the verbs."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from access.models import Team, User
from access.roles import Role
from deployments.models import Node


class PullForm(forms.Form):
    node = forms.ModelChoiceField(label=_("Node"), queryset=Node.objects.all())
    name = forms.CharField(
        label=_("Model"),
        max_length=200,
        help_text=_(
            "As the node's registry knows it, for example qwen3:4b or "
            "registry.example/library/qwen3:4b"
        ),
    )


class UserForm(forms.Form):
    username = forms.CharField(
        label=_("User name"), max_length=64, help_text=_("Letters, digits and . _ @ -")
    )
    display_name = forms.CharField(label=_("Display name"), max_length=120, required=False)


class ServiceAccountForm(UserForm):
    pass


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class TeamForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80)
    description = forms.CharField(label=_("Description"), max_length=300, required=False)


class MemberForm(forms.Form):
    user = forms.ModelChoiceField(
        label=_("Person or service account"), queryset=User.objects.filter(is_active=True)
    )


class GrantForm(forms.Form):
    """To a team, or to one person or service account."""

    team = forms.ModelChoiceField(label=_("Team"), queryset=Team.objects.all(), required=False)
    user = forms.ModelChoiceField(
        label=_("Person or service account"),
        queryset=User.objects.filter(is_active=True),
        required=False,
    )


class KeyForm(forms.Form):
    owner = forms.ModelChoiceField(
        label=_("For"), queryset=User.objects.filter(is_active=True).order_by("-kind", "username")
    )
    name = forms.CharField(
        label=_("Name"), max_length=80, help_text=_("What it is for, so that you know it again.")
    )
    expires_at = forms.DateField(
        label=_("Expires on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Leave empty for a key without an end."),
    )


class PasswordForm(forms.Form):
    old = forms.CharField(
        label=_("Present password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    new = forms.CharField(
        label=_("New password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 12 characters, not a common one."),
    )
    again = forms.CharField(
        label=_("New password again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if again != self.cleaned_data.get("new"):
            raise forms.ValidationError(_("The two are not the same."))
        return again
