"""Django's registration of the auditor's office."""

from django.apps import AppConfig


class OfficeConfig(AppConfig):
    name = "audit.office"
    label = "office"
