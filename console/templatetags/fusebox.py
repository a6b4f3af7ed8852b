"""What templates may ask for: icons, states, sizes, times, fields, and whether one may."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms, template
from django.db.models import Model as Row
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from access import policy
from audit.ledger.acts import Act

register = template.Library()

# state -> (icon, tone): a state is told by its word and icon, the tone only helps.
STATES = {
    "live": ("circle-check", "good"),
    "online": ("circle-check", "good"),
    "ready": ("circle-check", "good"),
    "succeeded": ("circle-check", "good"),
    "success": ("circle-check", "good"),
    "applied": ("circle-check", "good"),
    "failed": ("alert-triangle", "bad"),
    "failure": ("alert-triangle", "bad"),
    "error": ("alert-triangle", "bad"),
    "degraded": ("alert-triangle", "warn"),
    "standby": ("clock", "busy"),
    "draining": ("loader", "busy"),
    "cordoned": ("lock", "warn"),
    "foreign": ("alert-triangle", "bad"),
    "closed": ("shield-lock", "good"),
    "open": ("alert-triangle", "bad"),
    "unreachable": ("alert-triangle", "bad"),
    "denied": ("ban", "bad"),
    "aborted": ("circle-x", "warn"),
    "refused": ("ban", "bad"),
    "withdrawn": ("circle-x", "quiet"),
    "expired": ("circle-x", "warn"),
    "outdated": ("alert-triangle", "warn"),
    "waiting": ("clock", "busy"),
    "cancelled": ("circle-x", "warn"),
    "stopped": ("player-pause", "quiet"),
    "deleted": ("trash", "quiet"),
    "starting": ("loader", "busy"),
    "stopping": ("loader", "busy"),
    "deleting": ("loader", "busy"),
    "running": ("loader", "busy"),
    "queued": ("clock", "busy"),
    "pending": ("clock", "busy"),
}
UNITS = ("B", "kB", "MB", "GB", "TB")


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon of the sprite; decoration only, so the words beside it must say everything."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>',
        static("vendor/tabler/icons.svg"),
        name,
    )


@register.simple_tag
def badge(state: str, text: str) -> SafeString:
    """A state as icon and word."""
    name, tone = STATES.get(state, ("circle-dashed", "quiet"))
    return format_html('<span class="state state-{}">{} {}</span>', tone, icon(name), text)


@register.simple_tag
def state_badge(row: Row) -> SafeString:
    """The state or status of a node, deployment, replica or operation."""
    field = "status" if hasattr(row, "status") else "state"
    return badge(getattr(row, field), getattr(row, f"get_{field}_display")())


@register.simple_tag(takes_context=True)
def can(context: template.Context, act: str) -> bool:
    """Whether the reader may do `act`: the same door as the verb's. Unknown names raise."""
    actor = getattr(context.get("request"), "actor", None)
    return actor is not None and policy.can(actor, Act(act))


@register.simple_tag
def message(text: str) -> str:
    """A text that was stored as an English message id, in the reader's language."""
    return _(text) if text else ""


@register.simple_tag
def told(value: str | int | bool | None, *, worded: bool = False) -> str:
    """A value of a difference: yes, no, a number, a text, or a dash for nothing. worded: a text of
    ours, in the reader's language."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if worded and value:
        return _(str(value))
    return "–" if value is None or value == "" else str(value)


@register.filter
def filesize(value: int | None) -> str:
    """Bytes in decimal units, as disks and registries count them."""
    size = float(value or 0)
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            digits = 0 if unit == "B" or size >= 100 else 1
            return f"{number_format(size, digits)} {unit}"
        size /= 1000
    return ""


@register.filter
def ago(value: datetime | None) -> SafeString | str:
    """How long ago, with the exact time for those who point at it."""
    if value is None:
        return "–"
    text = _("%(time)s ago") % {"time": timesince(value, depth=1)}
    if timezone.now() - value < timedelta(seconds=60):
        text = _("just now")
    exact = date_format(timezone.localtime(value), "Y-m-d H:i:s")
    return format_html('<time datetime="{}" title="{}">{}</time>', value.isoformat(), exact, text)


@register.filter
def clock(value: datetime | str | None) -> SafeString | str:
    """The local date and time, with UTC for those who point at it."""
    if not value:
        return "–"
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    local = date_format(timezone.localtime(moment), "Y-m-d H:i:s")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), moment.isoformat(), local
    )


@register.filter
def clock_time(value: datetime | str | None) -> SafeString | str:
    """The local time of day, with the whole date for those who point at it."""
    if not value:
        return "–"
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        date_format(local, "Y-m-d H:i:s"),
        date_format(local, "H:i:s"),
    )


@register.inclusion_tag("_check.html")
def check(bound: forms.BoundField) -> dict[str, Any]:
    """A checkbox: its label stands behind it."""
    attrs: dict[str, str | bool] = {"class": "form-check-input"}
    if bound.help_text:
        attrs["aria-describedby"] = f"{bound.id_for_label}_help"
    return {"bound": bound, "control": bound.as_widget(attrs=attrs)}


@register.filter
def duration(seconds: int | None) -> str:
    """Seconds as people say them: 45 s, 12 min, 3 h 5 min."""
    if seconds is None:
        return "–"
    if seconds < 100:
        return _("%(seconds)d s") % {"seconds": seconds}
    minutes = round(seconds / 60)
    if minutes < 100:
        return _("%(minutes)d min") % {"minutes": minutes}
    return _("%(hours)d h %(minutes)d min") % {"hours": minutes // 60, "minutes": minutes % 60}


@register.inclusion_tag("_field.html")
def field(bound: forms.BoundField) -> dict[str, Any]:
    """A form's field with its label, help and errors tied together for screen readers."""
    widget = bound.field.widget
    select = isinstance(widget, forms.Select)
    css = "form-select" if select else "form-control"
    described = [f"{bound.id_for_label}_help"] if bound.help_text else []
    described += [f"{bound.id_for_label}_error"] if bound.errors else []
    attrs: dict[str, str | bool] = {"class": f"{css} is-invalid" if bound.errors else css}
    if described:
        attrs["aria-describedby"] = " ".join(described)
    if bound.errors:
        attrs["aria-invalid"] = "true"
    return {"bound": bound, "control": bound.as_widget(attrs=attrs)}
