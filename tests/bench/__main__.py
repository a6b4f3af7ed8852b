"""`python -m tests.bench gateway|audit|log|pages|fit`: one line a figure, comparisons interleaved in one run."""

from __future__ import annotations

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup()

from tests.bench import audit, fit, gateway, log  # noqa: E402  needs Django set up

SUITES = {
    "gateway": gateway.main,
    "audit": audit.main,
    "log": log.main,
    "pages": log.pages,
    "fit": fit.main,
}


def main() -> int:
    names = sys.argv[1:] or [name for name in SUITES if name != "pages"]
    if unknown := set(names) - set(SUITES):
        print(f"There is no bench {', '.join(unknown)}. Choose from: {', '.join(SUITES)}.")
        return 2
    for name in names:
        SUITES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
