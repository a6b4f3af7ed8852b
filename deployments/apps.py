"""Django's registration of the deployments room."""

from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    name = "deployments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from audit.office.content import leftovers
        from deployments.forget import forget

        leftovers.also(forget)
        from audit.office.alarming import watch
        from deployments import alarming

        watch.register("node_silent", alarming.node_silent)
