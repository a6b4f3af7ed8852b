"""The auditor's verbs, a module a noun."""

from audit.office.actions.alarms import acknowledge_alarm, set_alarm_rule, view_alarm_events
from audit.office.actions.capture import end_capture, request_capture, set_capture
from audit.office.actions.cases import (
    add_to_case,
    close_case,
    note_case,
    note_event,
    open_case,
    reopen_case,
    take_from_case,
)
from audit.office.actions.channels import (
    add_channel,
    change_channel,
    remove_channel,
    settle_notice,
    test_channel,
)
from audit.office.actions.content import (
    close_opening,
    expire_content,
    list_content,
    open_content,
    request_opening,
    view_content,
)
from audit.office.actions.erasure import erase_again, erase_more, erase_user, request_erasure
from audit.office.actions.events import (
    export,
    export_bundle,
    search,
    search_counts,
    view,
)
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
from audit.office.actions.retention import hold, prune, release_hold, set_retention
from audit.office.actions.searches import delete_search, save_search
from audit.office.actions.signing import request_new_key
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
    "acknowledge_alarm",
    "acknowledge_rollback",
    "add_channel",
    "add_to_case",
    "answer_witness",
    "cancel_export",
    "cancel_verification",
    "change_channel",
    "close_case",
    "close_opening",
    "confirm_head",
    "delete_search",
    "discard_exports",
    "end_capture",
    "erase_again",
    "erase_more",
    "erase_user",
    "expire_content",
    "export",
    "export_bundle",
    "fetch_export",
    "hold",
    "keep_time_stamp",
    "list_content",
    "make_evidence",
    "note_case",
    "note_event",
    "note_late_witnesses",
    "open_case",
    "open_content",
    "outside_copy_kept",
    "outside_copy_late",
    "prune",
    "register_witness",
    "release_hold",
    "remove_channel",
    "reopen_case",
    "report_alarm",
    "request_capture",
    "request_erasure",
    "request_export",
    "request_new_key",
    "request_opening",
    "request_verification",
    "revoke_witness",
    "save_search",
    "search",
    "search_counts",
    "set_alarm_rule",
    "set_capture",
    "set_retention",
    "settle_notice",
    "settle_witness_alarm",
    "take_from_case",
    "test_channel",
    "verify",
    "view",
    "view_alarm_events",
    "view_content",
]
