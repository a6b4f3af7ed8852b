"""The auditor's verbs, a module a noun."""

from audit.office.actions.events import export, export_bundle, search, view
from audit.office.actions.searches import delete_search, save_search
from audit.office.actions.verification import (
    acknowledge_rollback,
    cancel_verification,
    request_verification,
    verify,
)

__all__ = [
    "acknowledge_rollback",
    "cancel_verification",
    "delete_search",
    "export",
    "export_bundle",
    "request_verification",
    "save_search",
    "search",
    "verify",
    "view",
]
