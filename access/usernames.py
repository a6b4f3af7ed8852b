"""What an account may be called, person or service account, and that each name is there once."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from access.models import User

USERNAME = re.compile(r"^[^\W_][\w.@-]{1,63}$")


def valid_username(username: str) -> str:
    """The name without surrounding space. Raises Invalid."""
    username = username.strip()
    if not USERNAME.match(username):
        raise Invalid(
            _(
                "A user name has 2 to 64 letters, digits and . _ @ - and starts with a "
                "letter or digit."
            ),
            field="username",
        )
    return username


def save_new(user: User) -> None:
    """Insert the row. Raises Invalid when the name is taken; the transaction around it goes on."""
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise Invalid(_("This user name is taken."), field="username") from error
