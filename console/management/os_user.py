"""Who types a command: the operating system's user, for the event that the command leaves."""

from __future__ import annotations

import getpass
import os


def os_user() -> str:
    """The name, or the number of a user without one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
