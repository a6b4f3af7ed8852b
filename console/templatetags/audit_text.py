"""How untrusted text of events is shown: unseen characters as codes. Escaping is the template's."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django import template

from access.models import User
from audit.office.visible import visible as shown

register = template.Library()


@register.filter
def visible(value: object) -> str:
    """One line: line ends, too, are codes."""
    return shown("" if value is None else str(value))


@register.filter
def visible_lines(value: object) -> str:
    """Text of ours with values of others in it: its own line ends stay."""
    return shown("" if value is None else str(value), lines=True)


@register.simple_tag
def person(people: Mapping[UUID, User], pk: UUID | None) -> str:
    """Somebody of those that were looked up, by name; by number when there is none any more."""
    return str(people.get(pk) or pk) if pk else "–"
