"""How untrusted text of events is shown: unseen characters as codes."""

from __future__ import annotations

from django import template

from audit.office.visible import visible as shown

register = template.Library()


@register.filter
def visible(value: object) -> str:
    """Escaping is the template's; this shows what could not be seen."""
    return shown("" if value is None else str(value))
