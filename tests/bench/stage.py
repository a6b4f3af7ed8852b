"""What every bench stands on: engines of its own with an empty, migrated database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from console.embedded.commands import migrate
from tests.engines import Engines


@contextmanager
def stage() -> Iterator[tuple[Engines, dict[str, str]]]:
    """The engines and the environment that reaches them, with the web's own database role."""
    engines = Engines()
    try:
        engines.start()
        environment = {**os.environ, **engines.installation.environment()}
        migrate(environment)
        yield engines, environment
    finally:
        engines.stop()
