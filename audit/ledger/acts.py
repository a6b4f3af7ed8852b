"""The registry of acts. One dotted name is at once the verb, the permission and the audit act.

An act that is `recorded=False` is only ever asked for (a view); it leaves no event of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@unique
class Act(StrEnum):
    AUTH_LOGIN = "auth.login"
    AUTH_LOGOUT = "auth.logout"
    AUTH_LOCKOUT = "auth.lockout"
    AUTHZ_DENIED = "authz.denied"

    USER_VIEW = "user.view"
    USER_CREATE = "user.create"
    USER_SET_ROLE = "user.set_role"
    USER_DISABLE = "user.disable"
    USER_ENABLE = "user.enable"
    USER_RESET_PASSWORD = "user.reset_password"
    USER_CHANGE_PASSWORD = "user.change_password"
    USER_ERASE = "user.erase"
    USER_ERASED = "user.erased"
    USER_RESTRICTED = "user.restricted"
    SERVICE_ACCOUNT_CREATE = "service_account.create"

    TEAM_VIEW = "team.view"
    TEAM_CREATE = "team.create"
    TEAM_DELETE = "team.delete"
    TEAM_ADD_MEMBER = "team.add_member"
    TEAM_REMOVE_MEMBER = "team.remove_member"

    GRANT_VIEW = "grant.view"
    GRANT_CREATE = "grant.create"
    GRANT_REVOKE = "grant.revoke"

    KEY_VIEW = "key.view"
    KEY_ISSUE = "key.issue"
    KEY_REVOKE = "key.revoke"

    PROPOSAL_VIEW = "proposal.view"
    PROPOSAL_REQUEST = "proposal.request"
    PROPOSAL_APPROVE = "proposal.approve"
    PROPOSAL_REJECT = "proposal.reject"
    PROPOSAL_WITHDRAW = "proposal.withdraw"
    PROPOSAL_EXPIRE = "proposal.expire"

    NODE_VIEW = "node.view"
    NODE_REGISTER = "node.register"
    NODE_UPDATE = "node.update"
    NODE_REMOVE = "node.remove"
    NODE_REFRESH = "node.refresh"
    NODE_STATUS = "node.status"
    NODE_CORDON = "node.cordon"
    NODE_UNCORDON = "node.uncordon"
    NODE_DRAIN = "node.drain"

    MODEL_VIEW = "model.view"
    MODEL_IMPORT = "model.import"
    MODEL_PULL = "model.pull"
    MODEL_DELETE = "model.delete"
    MODEL_UPLOAD = "model.upload"
    MODEL_COPY = "model.copy"
    MODEL_EXPORT = "model.export"
    MODEL_UNPACK = "model.unpack"
    MODEL_APPROVE = "model.approve"
    MODEL_REVOKE_APPROVAL = "model.revoke_approval"

    DEPLOYMENT_VIEW = "deployment.view"
    DEPLOYMENT_CREATE = "deployment.create"
    DEPLOYMENT_START = "deployment.start"
    DEPLOYMENT_STOP = "deployment.stop"
    DEPLOYMENT_DELETE = "deployment.delete"
    DEPLOYMENT_CHANGE = "deployment.change"
    DEPLOYMENT_ROLLBACK = "deployment.rollback"
    DEPLOYMENT_PLACE = "deployment.place"
    DEPLOYMENT_RESTORE = "deployment.restore"
    DEPLOYMENT_ROLLED_BACK = "deployment.rolled_back"
    DEPLOYMENT_DRIFT = "deployment.drift"
    DEPLOYMENT_LIVE = "deployment.live"
    DEPLOYMENT_FAILED = "deployment.failed"
    DEPLOYMENT_STOPPED = "deployment.stopped"
    DEPLOYMENT_DELETED = "deployment.deleted"
    DEPLOYMENT_TRY = "deployment.try"
    DEPLOYMENT_USE = "deployment.use"

    SCENARIO_TRY = "scenario.try"
    SCENARIO_FORGET = "scenario.forget"

    DOCUMENT_EXTRACT = "document.extract"

    OPERATION_VIEW = "operation.view"
    OPERATION_CANCEL = "operation.cancel"
    OPERATION_RETRY = "operation.retry"
    OPERATION_FINISHED = "operation.finished"

    INFERENCE_ADMITTED = "inference.admitted"
    INFERENCE_COMPLETED = "inference.completed"
    INFERENCE_REFUSED = "inference.refused"
    INFERENCE_ABORTED = "inference.aborted"

    CAPTURE_VIEW = "capture.view"
    CAPTURE_SET = "capture.set"
    CAPTURE_END = "capture.end"

    CONTENT_OPEN = "content.open"
    CONTENT_LIST = "content.list"
    CONTENT_VIEW = "content.view"
    CONTENT_CLOSE = "content.close"
    CONTENT_EXPIRE = "content.expire"

    AUDIT_SEARCH = "audit.search"
    AUDIT_VIEW = "audit.view"
    AUDIT_EXPORT = "audit.export"
    AUDIT_REQUEST_EXPORT = "audit.request_export"
    AUDIT_CANCEL_EXPORT = "audit.cancel_export"
    AUDIT_FETCH_EXPORT = "audit.fetch_export"
    AUDIT_DISCARD_EXPORTS = "audit.discard_exports"
    AUDIT_SAVE_SEARCH = "audit.save_search"
    AUDIT_DELETE_SEARCH = "audit.delete_search"
    AUDIT_SINK_DOWN = "audit.sink_down"
    AUDIT_SINK_UP = "audit.sink_up"
    AUDIT_TIME_STAMP = "audit.time_stamp"
    AUDIT_REGISTER_WITNESS = "audit.register_witness"
    AUDIT_REVOKE_WITNESS = "audit.revoke_witness"
    AUDIT_WITNESS = "audit.witness"
    AUDIT_MAKE_EVIDENCE = "audit.make_evidence"
    AUDIT_WITNESS_ALARM = "audit.witness_alarm"
    AUDIT_SETTLE_WITNESS_ALARM = "audit.settle_witness_alarm"
    AUDIT_VERIFY = "audit.verify"
    AUDIT_REQUEST_VERIFICATION = "audit.request_verification"
    AUDIT_CANCEL_VERIFICATION = "audit.cancel_verification"
    AUDIT_ACKNOWLEDGE = "audit.acknowledge"
    AUDIT_VIEW_RETENTION = "audit.view_retention"
    AUDIT_SET_RETENTION = "audit.set_retention"
    AUDIT_PRUNE = "audit.prune"
    AUDIT_HOLD = "audit.hold"
    AUDIT_RELEASE_HOLD = "audit.release_hold"
    AUDIT_NEW_TREE = "audit.new_tree"
    AUDIT_NEW_KEY = "audit.new_key"
    AUDIT_GAP = "audit.gap"
    AUDIT_CLOCK_STEP = "audit.clock_step"

    AUDIT_NOTE = "audit.note"

    CASE_VIEW = "case.view"
    CASE_OPEN = "case.open"
    CASE_ADD = "case.add"
    CASE_TAKE = "case.take"
    CASE_NOTE = "case.note"
    CASE_CLOSE = "case.close"
    CASE_REOPEN = "case.reopen"

    ALARM_VIEW = "alarm.view"
    ALARM_RAISE = "alarm.raise"
    ALARM_CLOSE = "alarm.close"
    ALARM_ACKNOWLEDGE = "alarm.acknowledge"
    ALARM_SET_RULE = "alarm.set_rule"
    ALARM_ADD_CHANNEL = "alarm.add_channel"
    ALARM_CHANGE_CHANNEL = "alarm.change_channel"
    ALARM_REMOVE_CHANNEL = "alarm.remove_channel"
    ALARM_TEST_CHANNEL = "alarm.test_channel"
    ALARM_DELIVER = "alarm.deliver"

    PROCESS_STOPPED = "process.stopped"

    @property
    def category(self) -> str:
        return self.value.split(".", 1)[0]

    @property
    def sentence(self) -> str | Promise:
        return REGISTRY[self].sentence

    @property
    def severity(self) -> int:
        """1 (informational) to 6 (fatal), the severity_id of OCSF."""
        return REGISTRY[self].severity

    @property
    def recorded(self) -> bool:
        return REGISTRY[self].recorded


@dataclass(frozen=True, slots=True)
class Entry:
    """What the registry knows of an act: its sentence for people, its weight, if it is logged."""

    sentence: str | Promise
    severity: int = 1
    recorded: bool = True


REGISTRY: dict[Act, Entry] = {
    Act.AUTH_LOGIN: Entry(_("Signed in")),
    Act.AUTH_LOGOUT: Entry(_("Signed out")),
    Act.AUTH_LOCKOUT: Entry(_("Sign-in locked after failed attempts"), severity=4),
    Act.AUTHZ_DENIED: Entry(_("Permission denied"), severity=3),
    Act.USER_VIEW: Entry(_("View people"), recorded=False),
    Act.USER_CREATE: Entry(_("Account created"), severity=2),
    Act.USER_SET_ROLE: Entry(_("Role changed"), severity=3),
    Act.USER_DISABLE: Entry(_("Account disabled"), severity=2),
    Act.USER_ENABLE: Entry(_("Account enabled"), severity=2),
    Act.USER_RESET_PASSWORD: Entry(_("Password reset"), severity=3),
    Act.USER_CHANGE_PASSWORD: Entry(_("Own password changed"), severity=2),
    Act.USER_ERASE: Entry(_("Erasure of a person decided"), severity=4),
    Act.USER_ERASED: Entry(_("Values of an erased person taken away"), severity=3),
    Act.USER_RESTRICTED: Entry(_("Values of an erased person kept for a time, hidden"), severity=3),
    Act.SERVICE_ACCOUNT_CREATE: Entry(_("Service account created"), severity=2),
    Act.TEAM_VIEW: Entry(_("View teams"), recorded=False),
    Act.TEAM_CREATE: Entry(_("Team created")),
    Act.TEAM_DELETE: Entry(_("Team deleted"), severity=2),
    Act.TEAM_ADD_MEMBER: Entry(_("Person added to team"), severity=2),
    Act.TEAM_REMOVE_MEMBER: Entry(_("Person removed from team"), severity=2),
    Act.GRANT_VIEW: Entry(_("View grants"), recorded=False),
    Act.GRANT_CREATE: Entry(_("Deployment granted"), severity=2),
    Act.GRANT_REVOKE: Entry(_("Grant revoked"), severity=2),
    Act.KEY_VIEW: Entry(_("View keys"), recorded=False),
    Act.KEY_ISSUE: Entry(_("Key issued"), severity=2),
    Act.KEY_REVOKE: Entry(_("Key revoked"), severity=2),
    Act.PROPOSAL_VIEW: Entry(_("View proposals"), recorded=False),
    Act.PROPOSAL_REQUEST: Entry(_("A second person was asked"), severity=2),
    Act.PROPOSAL_APPROVE: Entry(_("Proposal approved by a second person"), severity=3),
    Act.PROPOSAL_REJECT: Entry(_("Proposal refused by a second person"), severity=2),
    Act.PROPOSAL_WITHDRAW: Entry(_("Proposal withdrawn"), severity=2),
    Act.PROPOSAL_EXPIRE: Entry(_("Proposal expired"), severity=2),
    Act.NODE_VIEW: Entry(_("View nodes"), recorded=False),
    Act.NODE_REGISTER: Entry(_("Node added"), severity=2),
    Act.NODE_UPDATE: Entry(_("Node changed"), severity=2),
    Act.NODE_REMOVE: Entry(_("Node removed"), severity=2),
    Act.NODE_REFRESH: Entry(_("Node asked for its state")),
    Act.NODE_STATUS: Entry(_("Node changed its state"), severity=3),
    Act.NODE_CORDON: Entry(_("Node cordoned"), severity=2),
    Act.NODE_UNCORDON: Entry(_("Node opened again"), severity=2),
    Act.NODE_DRAIN: Entry(_("Node drained"), severity=2),
    Act.MODEL_VIEW: Entry(_("View models"), recorded=False),
    Act.MODEL_IMPORT: Entry(_("Model import requested"), severity=2),
    Act.MODEL_PULL: Entry(_("Model pull requested"), severity=2),
    Act.MODEL_DELETE: Entry(_("Model deleted from node"), severity=2),
    Act.MODEL_UPLOAD: Entry(_("Model upload begun"), severity=2),
    Act.MODEL_COPY: Entry(_("Model copy to another node requested"), severity=2),
    Act.MODEL_EXPORT: Entry(_("Model bundle written"), severity=3),
    Act.MODEL_UNPACK: Entry(_("Model bundle read"), severity=2),
    Act.MODEL_APPROVE: Entry(_("Model approved for deployments"), severity=3),
    Act.MODEL_REVOKE_APPROVAL: Entry(_("Approval of model taken back"), severity=3),
    Act.DEPLOYMENT_VIEW: Entry(_("View deployments"), recorded=False),
    Act.DEPLOYMENT_CREATE: Entry(_("Deployment requested"), severity=2),
    Act.DEPLOYMENT_START: Entry(_("Deployment start requested"), severity=2),
    Act.DEPLOYMENT_STOP: Entry(_("Deployment stop requested"), severity=2),
    Act.DEPLOYMENT_DELETE: Entry(_("Deployment deletion requested"), severity=2),
    Act.DEPLOYMENT_CHANGE: Entry(_("New revision requested"), severity=2),
    Act.DEPLOYMENT_ROLLBACK: Entry(_("Rollback requested"), severity=2),
    Act.DEPLOYMENT_PLACE: Entry(_("Placement changed"), severity=2),
    Act.DEPLOYMENT_RESTORE: Entry(_("Restoring a changed revision requested"), severity=3),
    Act.DEPLOYMENT_ROLLED_BACK: Entry(_("Rollout failed; the old revision serves on"), severity=4),
    Act.DEPLOYMENT_DRIFT: Entry(_("A revision on a node is not what was attested"), severity=4),
    Act.DEPLOYMENT_LIVE: Entry(_("Deployment went live"), severity=2),
    Act.DEPLOYMENT_FAILED: Entry(_("Deployment failed"), severity=4),
    Act.DEPLOYMENT_STOPPED: Entry(_("Deployment stopped"), severity=2),
    Act.DEPLOYMENT_DELETED: Entry(_("Deployment deleted"), severity=2),
    Act.DEPLOYMENT_TRY: Entry(_("Try a deployment in the playground"), recorded=False),
    Act.DEPLOYMENT_USE: Entry(_("Use a deployment"), recorded=False),
    Act.SCENARIO_TRY: Entry(_("Samples of a scenario tried on models"), severity=2),
    Act.DOCUMENT_EXTRACT: Entry(_("Text of a document read")),
    Act.SCENARIO_FORGET: Entry(_("Texts of a trial deleted"), severity=2),
    Act.OPERATION_VIEW: Entry(_("View operations"), recorded=False),
    Act.OPERATION_CANCEL: Entry(_("Operation cancellation requested"), severity=2),
    Act.OPERATION_RETRY: Entry(_("Operation retried"), severity=2),
    Act.OPERATION_FINISHED: Entry(_("Operation finished")),
    Act.INFERENCE_ADMITTED: Entry(_("Request admitted")),
    Act.INFERENCE_COMPLETED: Entry(_("Request answered")),
    Act.INFERENCE_REFUSED: Entry(_("Request refused"), severity=3),
    Act.INFERENCE_ABORTED: Entry(_("Request aborted"), severity=3),
    Act.CAPTURE_VIEW: Entry(_("View what is kept of prompts and answers"), recorded=False),
    Act.CAPTURE_SET: Entry(_("Keeping of prompts or answers begun or changed"), severity=4),
    Act.CAPTURE_END: Entry(_("Keeping of prompts or answers ended"), severity=3),
    Act.CONTENT_OPEN: Entry(_("Captured content opened for reading"), severity=4),
    Act.CONTENT_LIST: Entry(_("Captured content listed"), severity=4),
    Act.CONTENT_VIEW: Entry(_("Captured content read"), severity=4),
    Act.CONTENT_CLOSE: Entry(_("Reading of captured content closed"), severity=2),
    Act.CONTENT_EXPIRE: Entry(_("Captured content past its period destroyed"), severity=2),
    Act.AUDIT_SEARCH: Entry(_("Audit log searched")),
    Act.AUDIT_VIEW: Entry(_("Event opened")),
    Act.AUDIT_EXPORT: Entry(_("Audit log exported"), severity=2),
    Act.AUDIT_REQUEST_EXPORT: Entry(_("Export of the log requested")),
    Act.AUDIT_CANCEL_EXPORT: Entry(_("Export of the log cancelled")),
    Act.AUDIT_FETCH_EXPORT: Entry(_("Export of the log downloaded"), severity=2),
    Act.AUDIT_DISCARD_EXPORTS: Entry(_("Old exports discarded")),
    Act.AUDIT_SAVE_SEARCH: Entry(_("Search saved")),
    Act.AUDIT_DELETE_SEARCH: Entry(_("Saved search deleted")),
    Act.AUDIT_SINK_DOWN: Entry(_("An outside copy of the log is late"), severity=4),
    Act.AUDIT_SINK_UP: Entry(_("An outside copy of the log is kept again"), severity=2),
    Act.AUDIT_TIME_STAMP: Entry(_("A signed head was time-stamped")),
    Act.AUDIT_REGISTER_WITNESS: Entry(_("Witness of the log registered"), severity=3),
    Act.AUDIT_REVOKE_WITNESS: Entry(_("Witness of the log revoked"), severity=3),
    Act.AUDIT_MAKE_EVIDENCE: Entry(_("Evidence pack made"), severity=2),
    Act.AUDIT_WITNESS: Entry(_("Confirm heads of the log as a witness"), recorded=False),
    Act.AUDIT_WITNESS_ALARM: Entry(_("A witness does not recognise the log"), severity=5),
    Act.AUDIT_SETTLE_WITNESS_ALARM: Entry(_("Alarm of a witness settled"), severity=4),
    Act.AUDIT_VERIFY: Entry(_("Audit log verified"), severity=2),
    Act.AUDIT_REQUEST_VERIFICATION: Entry(_("Verification of the log requested")),
    Act.AUDIT_CANCEL_VERIFICATION: Entry(_("Verification of the log cancelled")),
    Act.AUDIT_ACKNOWLEDGE: Entry(_("Rollback of the log acknowledged"), severity=4),
    Act.AUDIT_VIEW_RETENTION: Entry(_("View retention and holds"), recorded=False),
    Act.AUDIT_SET_RETENTION: Entry(_("Retention of the log changed"), severity=4),
    Act.AUDIT_PRUNE: Entry(_("Events removed by retention"), severity=3),
    Act.AUDIT_HOLD: Entry(_("Legal hold set"), severity=3),
    Act.AUDIT_RELEASE_HOLD: Entry(_("Legal hold released"), severity=4),
    Act.AUDIT_NEW_TREE: Entry(_("A new tree of the log was begun"), severity=5),
    Act.AUDIT_NEW_KEY: Entry(_("The signing key of the log was changed"), severity=4),
    Act.AUDIT_GAP: Entry(_("Sealing of the log was interrupted"), severity=4),
    Act.AUDIT_CLOCK_STEP: Entry(_("The clock was set back"), severity=3),
    Act.AUDIT_NOTE: Entry(_("Note written beside an event")),
    Act.CASE_VIEW: Entry(_("View cases"), recorded=False),
    Act.CASE_OPEN: Entry(_("Case opened"), severity=2),
    Act.CASE_ADD: Entry(_("Events added to a case")),
    Act.CASE_TAKE: Entry(_("Event taken out of a case"), severity=2),
    Act.CASE_NOTE: Entry(_("Note written on a case")),
    Act.CASE_CLOSE: Entry(_("Case closed"), severity=2),
    Act.CASE_REOPEN: Entry(_("Case opened again"), severity=2),
    Act.ALARM_VIEW: Entry(_("View alarms"), recorded=False),
    Act.ALARM_RAISE: Entry(_("Alarm raised"), severity=4),
    Act.ALARM_CLOSE: Entry(_("What an alarm was about has ended")),
    Act.ALARM_ACKNOWLEDGE: Entry(_("Alarm acknowledged"), severity=2),
    Act.ALARM_SET_RULE: Entry(_("Rule of alarms changed"), severity=3),
    Act.ALARM_ADD_CHANNEL: Entry(_("Receiver of alarms added"), severity=3),
    Act.ALARM_CHANGE_CHANNEL: Entry(_("Receiver of alarms changed"), severity=3),
    Act.ALARM_REMOVE_CHANNEL: Entry(_("Receiver of alarms removed"), severity=3),
    Act.ALARM_TEST_CHANNEL: Entry(_("Test of a receiver of alarms sent")),
    Act.ALARM_DELIVER: Entry(_("Message about alarms sent"), severity=2),
    Act.PROCESS_STOPPED: Entry(_("A process of the gateway stopped")),
}
