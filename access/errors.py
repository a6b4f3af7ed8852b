"""Refusals of the domain: each has a stable code and a sentence that says what to do.

No HTTP here; console/errors.py and the gateway map codes to their own shapes.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from access.said import Said, Text
from audit.ledger.actor import Actor
from audit.ledger.acts import Act


class Refusal(Exception):
    """Something the domain will not do, with the reason for people. Nothing was changed."""

    code = "refused"

    def __init__(self, message: str | Promise | Said, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return str(self.message)

    @property
    def text(self) -> Text:
        """The reason as it is stored."""
        return self.message if isinstance(self.message, Said) else str(self.message)


class Denied(Refusal):
    """The actor may not do this. Recorded after the rollback by the face that asked."""

    code = "permission_denied"

    def __init__(self, actor: Actor, act: Act, *, target: str = "", helpers: Sequence[str] = ()):
        super().__init__(_("You do not have permission to do this."))
        self.actor = actor
        self.act = act
        self.target = target
        self.helpers = helpers


class Invalid(Refusal):
    """A value that cannot be accepted; `field` says which."""

    code = "invalid"


class WrongState(Refusal):
    """Possible in another state of the thing, or somebody else was faster."""

    code = "wrong_state"


class Missing(Refusal):
    """There is no such thing, or it is not for this actor to see: the two look the same."""

    code = "not_found"
