"""Django's registration of the console."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "console"
