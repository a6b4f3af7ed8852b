"""One table: role -> the acts it may do. Roles exclude one another (audit.md 1.4).

Administration is separated in three: who runs machines does not decide who may use them, and who
reads the log does neither.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.ledger.acts import Act


class Role(models.TextChoices):
    SYSTEM = "system", _("System administrator")
    SECURITY = "security", _("Security administrator")
    AUDIT = "audit", _("Audit administrator")
    MEMBER = "member", _("Member of staff")


ADMINISTRATORS = (Role.SYSTEM, Role.SECURITY, Role.AUDIT)

EVERYONE = frozenset(
    {
        Act.AUTH_LOGIN,
        Act.AUTH_LOGOUT,
        Act.USER_CHANGE_PASSWORD,
        Act.DEPLOYMENT_USE,
        Act.DOCUMENT_EXTRACT,
    }
)

# What asks for a second person is proposed and decided by administrators; which of them may approve
# what is said where the act is registered (access.second_person).
PROPOSALS = frozenset(
    {
        Act.PROPOSAL_VIEW,
        Act.PROPOSAL_REQUEST,
        Act.PROPOSAL_APPROVE,
        Act.PROPOSAL_REJECT,
        Act.PROPOSAL_WITHDRAW,
    }
)

ROLE_ACTS: dict[Role, frozenset[Act]] = {
    Role.SYSTEM: EVERYONE
    | PROPOSALS
    | {
        Act.USER_VIEW,
        Act.USER_CREATE,
        Act.USER_DISABLE,
        Act.NODE_VIEW,
        Act.NODE_REGISTER,
        Act.NODE_UPDATE,
        Act.NODE_REMOVE,
        Act.NODE_REFRESH,
        Act.NODE_CORDON,
        Act.NODE_UNCORDON,
        Act.NODE_DRAIN,
        Act.MODEL_VIEW,
        Act.MODEL_IMPORT,
        Act.MODEL_PULL,
        Act.MODEL_DELETE,
        Act.MODEL_UPLOAD,
        Act.MODEL_COPY,
        Act.MODEL_EXPORT,
        Act.MODEL_UNPACK,
        Act.DEPLOYMENT_VIEW,
        Act.DEPLOYMENT_CREATE,
        Act.DEPLOYMENT_CHANGE,
        Act.DEPLOYMENT_ROLLBACK,
        Act.DEPLOYMENT_PLACE,
        Act.DEPLOYMENT_RESTORE,
        Act.DEPLOYMENT_START,
        Act.DEPLOYMENT_STOP,
        Act.DEPLOYMENT_DELETE,
        Act.DEPLOYMENT_TRY,
        Act.SCENARIO_TRY,
        Act.SCENARIO_FORGET,
        Act.OPERATION_VIEW,
        Act.OPERATION_CANCEL,
        Act.OPERATION_RETRY,
        Act.AUDIT_ACKNOWLEDGE,
        Act.ALARM_VIEW,
        Act.ALARM_ACKNOWLEDGE,
    },
    Role.SECURITY: EVERYONE
    | PROPOSALS
    | {
        Act.USER_VIEW,
        Act.USER_CREATE,
        Act.USER_SET_ROLE,
        Act.USER_DISABLE,
        Act.USER_ENABLE,
        Act.USER_RESET_PASSWORD,
        Act.SERVICE_ACCOUNT_CREATE,
        Act.TEAM_VIEW,
        Act.TEAM_CREATE,
        Act.TEAM_DELETE,
        Act.TEAM_ADD_MEMBER,
        Act.TEAM_REMOVE_MEMBER,
        Act.GRANT_VIEW,
        Act.GRANT_CREATE,
        Act.GRANT_REVOKE,
        Act.KEY_VIEW,
        Act.KEY_ISSUE,
        Act.KEY_REVOKE,
        Act.USER_ERASE,
        Act.CAPTURE_VIEW,
        Act.CAPTURE_SET,
        Act.CAPTURE_END,
        Act.CONTENT_CLOSE,
        Act.DEPLOYMENT_VIEW,
        Act.MODEL_VIEW,
        Act.MODEL_APPROVE,
        Act.MODEL_REVOKE_APPROVAL,
        Act.NODE_VIEW,
        Act.AUDIT_ACKNOWLEDGE,
        Act.ALARM_VIEW,
        Act.ALARM_ACKNOWLEDGE,
        Act.AUDIT_VIEW_RETENTION,
        Act.AUDIT_SET_RETENTION,
    },
    Role.AUDIT: EVERYONE
    | PROPOSALS
    | {
        Act.CAPTURE_VIEW,
        Act.CAPTURE_END,
        Act.CONTENT_OPEN,
        Act.CONTENT_LIST,
        Act.CONTENT_VIEW,
        Act.CONTENT_CLOSE,
        Act.AUDIT_SEARCH,
        Act.AUDIT_VIEW,
        Act.AUDIT_EXPORT,
        Act.AUDIT_REQUEST_EXPORT,
        Act.AUDIT_CANCEL_EXPORT,
        Act.AUDIT_FETCH_EXPORT,
        Act.AUDIT_SAVE_SEARCH,
        Act.AUDIT_DELETE_SEARCH,
        Act.AUDIT_MAKE_EVIDENCE,
        Act.AUDIT_REGISTER_WITNESS,
        Act.AUDIT_REVOKE_WITNESS,
        Act.AUDIT_SETTLE_WITNESS_ALARM,
        Act.AUDIT_VERIFY,
        Act.AUDIT_REQUEST_VERIFICATION,
        Act.AUDIT_CANCEL_VERIFICATION,
        Act.AUDIT_ACKNOWLEDGE,
        Act.ALARM_VIEW,
        Act.ALARM_ACKNOWLEDGE,
        Act.AUDIT_NOTE,
        Act.CASE_VIEW,
        Act.CASE_OPEN,
        Act.CASE_ADD,
        Act.CASE_TAKE,
        Act.CASE_NOTE,
        Act.CASE_CLOSE,
        Act.CASE_REOPEN,
        Act.ALARM_SET_RULE,
        Act.ALARM_ADD_CHANNEL,
        Act.ALARM_CHANGE_CHANNEL,
        Act.ALARM_REMOVE_CHANNEL,
        Act.ALARM_TEST_CHANNEL,
        Act.AUDIT_VIEW_RETENTION,
        Act.AUDIT_SET_RETENTION,
        Act.AUDIT_HOLD,
        Act.AUDIT_RELEASE_HOLD,
        Act.AUDIT_NEW_KEY,
    },
    Role.MEMBER: EVERYONE,
}


# A program of somebody's outside, which nobody signs in as: no role of a person.
WITNESS = "witness"
WITNESS_ACTS = frozenset({Act.AUDIT_WITNESS})


def roles_that_may(act: Act) -> list[Role]:
    """The roles whose holders can help with `act`, in the order of the table."""
    return [role for role, acts in ROLE_ACTS.items() if act in acts]
