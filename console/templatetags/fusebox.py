"""Stub until the tags are here."""

from django import template

register = template.Library()
