"""Stub until the navigation is here."""


def navigation(request: object) -> dict[str, object]:
    return {}
