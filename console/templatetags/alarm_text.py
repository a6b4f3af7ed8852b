"""Alarms in words, for templates that have the row."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from audit.office.alarming import words
from audit.office.models import Alarm
from console.templatetags.fusebox import badge

register = template.Library()


@register.simple_tag
def alarm_sentence(alarm: Alarm) -> SafeString:
    """What happened, and what to do about it."""
    return format_html("{} {}", words.sentence(alarm), words.advice(alarm))


@register.simple_tag
def alarm_state(alarm: Alarm) -> SafeString:
    """Whether it waits for somebody, still stands, or is over."""
    if alarm.acknowledged_at is None and alarm.is_open:
        return badge("failed", _("waits for a word"))
    if alarm.acknowledged_at is None:
        return badge("degraded", _("over, and nobody said a word"))
    if alarm.is_open:
        return badge("standby", _("acknowledged, still standing"))
    return badge("success", _("acknowledged and over"))


@register.simple_tag
def severity_badge(severity: int) -> SafeString:
    """How grave, in a word."""
    words_of = {1: _("note"), 2: _("low"), 3: _("medium"), 4: _("high"), 5: _("critical")}
    tone = "failed" if severity >= 4 else "degraded" if severity == 3 else ""
    return badge(tone, words_of.get(severity, _("gravest")))
