"""The auditor's verbs, a module a noun."""

from audit.office.actions.events import export, export_bundle, search, view
from audit.office.actions.evidence import make_evidence
from audit.office.actions.exports import (
    cancel_export,
    discard_exports,
    fetch_export,
    request_export,
)
from audit.office.actions.outside import (
    keep_time_stamp,
    outside_copy_kept,
    outside_copy_late,
)
from audit.office.actions.searches import delete_search, save_search
from audit.office.actions.verification import (
    acknowledge_rollback,
    cancel_verification,
    request_verification,
    verify,
)
from audit.office.actions.witnesses import (
    answer_witness,
    confirm_head,
    note_late_witnesses,
    register_witness,
    report_alarm,
    revoke_witness,
    settle_witness_alarm,
)

__all__ = [
    "acknowledge_rollback",
    "answer_witness",
    "cancel_export",
    "cancel_verification",
    "confirm_head",
    "delete_search",
    "discard_exports",
    "export",
    "export_bundle",
    "fetch_export",
    "keep_time_stamp",
    "make_evidence",
    "note_late_witnesses",
    "outside_copy_kept",
    "outside_copy_late",
    "register_witness",
    "report_alarm",
    "request_export",
    "request_verification",
    "revoke_witness",
    "save_search",
    "search",
    "settle_witness_alarm",
    "verify",
    "view",
]
