"""The auditor's verbs, a module a noun."""

from audit.office.actions.events import export, export_bundle, search, view
from audit.office.actions.exports import (
    cancel_export,
    discard_exports,
    fetch_export,
    request_export,
)
from audit.office.actions.outside import outside_copy_kept, outside_copy_late
from audit.office.actions.searches import delete_search, save_search
from audit.office.actions.verification import (
    acknowledge_rollback,
    cancel_verification,
    request_verification,
    verify,
)

__all__ = [
    "acknowledge_rollback",
    "cancel_export",
    "cancel_verification",
    "delete_search",
    "discard_exports",
    "export",
    "export_bundle",
    "fetch_export",
    "outside_copy_kept",
    "outside_copy_late",
    "request_export",
    "request_verification",
    "save_search",
    "search",
    "verify",
    "view",
]
