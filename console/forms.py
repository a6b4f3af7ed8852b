"""Forms of the pages: shapes only. What is allowed is decided by the verbs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from access.models import Team, User
from access.roles import Role
from deployments import approvals
from deployments.actions.uploads import QUANTIZATIONS
from deployments.models import Model, Node
from deployments.recipes import BY_NAME

CONTEXT = BY_NAME["num_ctx"]


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
    insecure = forms.BooleanField(
        label=_("The registry speaks plain HTTP"),
        required=False,
        help_text=_(
            "Only for a registry of your own without TLS. A certificate of your own authority must "
            "be known to the node."
        ),
    )


def only_one(rows: QuerySet[Any]) -> Any:
    """The row, where there is just one to choose."""
    found = list(rows[:2])
    return found[0] if len(found) == 1 else None


class CopyForm(forms.Form):
    """Where a copy of a model goes."""

    node = forms.ModelChoiceField(label=_("To the node"), queryset=Node.objects.none())

    def offer(self, nodes: QuerySet[Node]) -> None:
        field = self.fields["node"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101  for the type checker
        field.queryset = nodes
        field.initial = only_one(nodes)


class FitForm(forms.Form):
    """Which model with how much context: what deployments.room is asked."""

    model = forms.UUIDField()
    num_ctx = forms.IntegerField(
        label=_("Context (tokens)"),
        required=False,
        min_value=int(CONTEXT.least),
        max_value=int(CONTEXT.most),
    )


class ManyFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """One or more files; empty ones and none at all are refused as for one."""

    def clean(self, data: Any, initial: Any = None) -> Any:
        return [super(ManyFilesField, self).clean(one, initial) for one in data or [None]]


class UploadForm(forms.Form):
    """What comes with the files of a model. The files themselves are looked at by the verbs."""

    node = forms.ModelChoiceField(label=_("Node"), queryset=Node.objects.all())
    name = forms.CharField(
        label=_("Model"), max_length=200, help_text=_("Its name on the node, such as claims:1")
    )
    model_files = ManyFilesField(
        label=_("Files"),
        widget=ManyFiles(attrs={"multiple": True, "accept": ".gguf,.safetensors,.json,.txt"}),
    )
    sha256 = forms.CharField(
        label="SHA-256",
        max_length=80,
        required=False,
        help_text=_("As its maker publishes it: a file that differs is refused."),
    )
    quantize = forms.ChoiceField(
        label=_("Quantize to"),
        required=False,
        choices=[("", _("leave as it is")), *((q, q) for q in QUANTIZATIONS)],
        help_text=_("Only for weights in F16, BF16 or F32."),
    )
    base = forms.CharField(
        label=_("Base of the adapter"),
        max_length=255,
        required=False,
        help_text=_("Only for a LoRA adapter: the tag of the model on the node that it is for."),
    )


class DeployableField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Models that a node stores: those approved first, the others marked as not approved.

    The verb refuses those and says who can help; hiding them would only make people wonder."""

    def __init__(self, **options: Any) -> None:
        stored = Model.objects.filter(stored__isnull=False).distinct()
        ranked = stored.annotate(approved=approvals.APPROVED).order_by("-approved", "name")
        super().__init__(queryset=ranked, **options)

    def offer_each_once(self) -> None:
        """The same weights under one name, stored on two nodes, are one thing to choose."""
        same = Model.objects.filter(content=OuterRef("content"), name=OuterRef("name"))
        earlier = same.filter(stored__isnull=False, created_at__lt=OuterRef("created_at"))
        offered = self.queryset or Model.objects.none()
        self.queryset = offered.exclude(~Q(content="") & Exists(earlier))
        self.initial = only_one(self.queryset)

    def label_from_instance(self, obj: Any) -> str:
        if obj.approved or not settings.REQUIRE_MODEL_APPROVAL:
            return str(obj)
        return gettext("%(model)s – not approved") % {"model": obj}


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


class WitnessForm(forms.Form):
    vkey = forms.CharField(
        label=_("Key of the witness"),
        max_length=200,
        help_text=_("What `witness.py init` printed: name+id+key"),
    )


class ReasonForm(forms.Form):
    """Why somebody does what is recorded with their reason."""

    reason = forms.CharField(
        label=_("What happened"), max_length=500, widget=forms.Textarea(attrs={"rows": 3})
    )
