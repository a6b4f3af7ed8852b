"""The verbs of the access room, one module a noun. Keyword-only, actor first, one transaction."""

from access.actions.grants import grant, revoke_grant
from access.actions.keys import create_service_account, issue_key, revoke_key
from access.actions.people import (
    change_password,
    create_user,
    disable_user,
    enable_user,
    forget_user,
    reset_password,
    set_role,
)
from access.actions.proposals import approve, expire_proposals, reject, request, withdraw
from access.actions.sessions import sign_in, sign_out
from access.actions.teams import add_member, create_team, delete_team, remove_member

__all__ = [
    "add_member",
    "approve",
    "change_password",
    "create_service_account",
    "create_team",
    "create_user",
    "delete_team",
    "disable_user",
    "enable_user",
    "expire_proposals",
    "forget_user",
    "grant",
    "issue_key",
    "reject",
    "remove_member",
    "request",
    "reset_password",
    "revoke_grant",
    "revoke_key",
    "set_role",
    "sign_in",
    "sign_out",
    "withdraw",
]
