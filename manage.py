#!/usr/bin/env python
"""Django's commands. With no settings they speak to the embedded default of FUSEBOX_DATA (var/)."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    from console.embedded.commands import engines_for

    with engines_for(sys.argv):
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
