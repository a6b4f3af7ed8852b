"""Django's registration of the ledger."""

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    name = "audit.ledger"
    label = "ledger"
    default_auto_field = "django.db.models.BigAutoField"
