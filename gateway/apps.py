"""Django's registration of the gateway."""

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"
