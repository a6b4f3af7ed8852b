"""Which class and activity of OCSF 1.8.0 an act is.

Account Change and User Access give way to other classes in OCSF 1.9; this table is where to say so.
"""

from __future__ import annotations

from typing import NamedTuple

from audit.ledger.acts import Act

ACCOUNT_CHANGE = 3001
AUTHENTICATION = 3002
ENTITY = 3004
USER_ACCESS = 3005
GROUP = 3006
WEB_RESOURCES = 6001
LIFECYCLE = 6002
API = 6003
DATASTORE = 6005
OTHER = 99


class Kind(NamedTuple):
    """The class and its activity: type_uid is class_uid * 100 + activity_id."""

    class_uid: int
    activity_id: int


# The class of a category's acts, unless ACTS says otherwise.
CATEGORIES: dict[str, int] = {
    "auth": AUTHENTICATION,
    "authz": API,
    "user": ACCOUNT_CHANGE,
    "service_account": ACCOUNT_CHANGE,
    "team": GROUP,
    "deployment": LIFECYCLE,
    "inference": API,
    "content": DATASTORE,
    "audit": DATASTORE,
}
# What the word after the dot means as an activity of a class; what has no row is OTHER.
ACTIVITIES: dict[int, dict[str, int]] = {
    AUTHENTICATION: {"login": 1, "logout": 2},
    ACCOUNT_CHANGE: {
        "create": 1, "enable": 2, "change_password": 3, "reset_password": 4, "disable": 5,
        "erase": 6, "erased": 6,
    },
    ENTITY: {
        "create": 1, "register": 1, "import": 1, "pull": 1, "issue": 1,
        "view": 2, "refresh": 2, "extract": 2,
        "update": 3, "status": 3, "cancel": 3, "retry": 3, "finished": 3, "approve": 3,
        "delete": 4, "remove": 4, "revoke": 4,
        "set": 3, "end": 3,
        "open": 1, "add": 3, "take": 3, "note": 3, "reopen": 3,
        "raise": 1, "add_channel": 1, "close": 3, "acknowledge": 3, "set_rule": 3,
        "change_channel": 3, "remove_channel": 4,
    },
    USER_ACCESS: {"set_role": 1},
    GROUP: {"add_member": 3, "remove_member": 4, "delete": 5, "create": 6},
    WEB_RESOURCES: {"export": 7},
    LIFECYCLE: {
        "create": 1, "delete": 2, "deleted": 2, "start": 3, "live": 3, "failed": 3, "stop": 4,
        "stopped": 4,
    },
    API: {"admitted": 1, "completed": 1, "refused": 1, "aborted": 1, "use": 1, "try": 1},
    DATASTORE: {"search": 4, "list": 4, "view": 1, "expire": 7},
}  # fmt: skip
# Acts that are not of the class of their category.
ACTS: dict[str, int] = {
    "user.set_role": USER_ACCESS,
    "user.view": ENTITY,
    "team.view": ENTITY,
    "deployment.view": ENTITY,
    "deployment.use": API,
    "deployment.try": API,
    "scenario.try": API,
    "audit.export": WEB_RESOURCES,
}


def kind_of(act: str, permission: str = "") -> Kind:
    """A refusal is of the kind of what was asked for; an act of another version is OTHER."""
    if act == Act.AUTHZ_DENIED and permission and permission != act:
        return kind_of(permission)
    category, _dot, word = act.partition(".")
    class_uid = ACTS.get(act) or CATEGORIES.get(category, ENTITY)
    return Kind(class_uid, ACTIVITIES[class_uid].get(word, OTHER))
