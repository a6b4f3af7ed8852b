"""Django's registration of the auditor's office, and of its acts that need a second person."""

from django.apps import AppConfig


class OfficeConfig(AppConfig):
    name = "audit.office"
    label = "office"

    def ready(self) -> None:
        from access import second_person

        second_person.register_later(_register)


def _register() -> None:
    from audit.office import seconds
    from audit.office.actions import retention

    seconds.register()
    retention.register()
