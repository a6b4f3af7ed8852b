"""Forms of alarms: shapes only. What is allowed is decided by the verbs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from audit.office.alarming.rules import Rule
from audit.office.models import AlarmRule, Channel, ChannelKind, Verdict

SEVERITIES = (
    (2, _("2: everything but notes")),
    (3, _("3: unusual, and worse")),
    (4, _("4: somebody should look today, and worse")),
    (5, _("5: somebody must look at once, and worse")),
    (6, _("6: the log itself is not whole")),
)


class AcknowledgeForm(forms.Form):
    """What somebody found when they looked."""

    verdict = forms.ChoiceField(label=_("What was it?"), choices=Verdict.choices)
    text = forms.CharField(
        label=_("What you found"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("It stays with the alarm and in the log: more can be added, nothing changed."),
    )


class RuleForm(forms.Form):
    """The thresholds of one rule; the fields are the rule's own."""

    def __init__(self, rule: Rule, row: AlarmRule | None, data: Any = None) -> None:
        super().__init__(data)
        self.rule = rule
        values = rule.values(row.values if row else {})
        for threshold in rule.thresholds:
            bounds = {"least": threshold.least, "most": threshold.most, "unit": threshold.unit}
            self.fields[threshold.name] = forms.IntegerField(
                label=str(threshold.label),
                initial=values[threshold.name],
                min_value=threshold.least,
                max_value=threshold.most,
                help_text=_("%(least)s to %(most)s %(unit)s") % bounds,
            )
            if (threshold.least, threshold.most) == (0, 1):
                self.fields[threshold.name] = forms.TypedChoiceField(
                    label=str(threshold.label),
                    initial=values[threshold.name],
                    coerce=int,
                    choices=[(0, _("no")), (1, _("yes"))],
                )
        if rule.may_rest:
            self.fields["resting"] = forms.BooleanField(
                label=_("Put this rule to rest: it looks for nothing"),
                initial=bool(row and row.resting),
                required=False,
            )

    @property
    def settings(self) -> list[forms.BoundField]:
        return [self[threshold.name] for threshold in self.rule.thresholds]

    def verb_arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        values = {threshold.name: given[threshold.name] for threshold in self.rule.thresholds}
        return {"values": values, "resting": given.get("resting", False)}


class ChannelForm(forms.Form):
    """A receiver of alarms. Of one that exists the kind stays."""

    kind = forms.ChoiceField(label=_("Kind"), choices=ChannelKind.choices)
    name = forms.CharField(label=_("Name"), max_length=80)
    address = forms.CharField(
        label=_("Address"),
        max_length=2000,
        help_text=_(
            "E-mail addresses with a comma between them; of a webhook its URL, inside the networks "
            "that are allowed (FUSEBOX_ALARM_NETWORKS)."
        ),
    )
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    least = forms.TypedChoiceField(
        label=_("From severity"), choices=SEVERITIES, coerce=int, initial=3
    )
    per_hour = forms.IntegerField(
        label=_("Messages an hour"),
        min_value=1,
        max_value=60,
        initial=10,
        help_text=_("At most. More alarms than these are summed up in one message."),
    )

    @classmethod
    def of(cls, channel: Channel, data: Any = None) -> ChannelForm:
        names = ("kind", "name", "address", "language", "least", "per_hour")
        form = cls(data, initial={name: getattr(channel, name) for name in names})
        del form.fields["kind"]
        return form
