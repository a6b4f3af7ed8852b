"""Seeing to it that a node really stopped: it may go on with a transfer after we hung up.

A node lists no transfers, but a second pull of the same name joins one that is under way and
reports where that stands. So we ask again after a pause: bytes that came meanwhile tell.
"""

from __future__ import annotations

import time

from deployments import ollama
from deployments.lease import Lease

PAUSE_S = 2.0
LOOKS = 5
LOOK_S = 15.0
SLACK_BYTES = 256 * 1024


class Meter:
    """Bytes of all parts of a transfer together; a node reports part by part."""

    def __init__(self) -> None:
        self.parts: dict[str, tuple[int, int]] = {}

    def add(self, step: ollama.Progress) -> None:
        if step.total:
            self.parts[step.digest or step.status] = (step.done, step.total)

    @property
    def done(self) -> int:
        return sum(done for done, _total in self.parts.values())

    @property
    def total(self) -> int:
        return sum(total for _done, total in self.parts.values())


def until_stopped(lease: Lease, api: ollama.Node, name: str, *, insecure: bool) -> str:
    """Ask until the node has stopped pulling. The text says what could not be made sure of."""
    rate, before = lease.operation.rate, lease.operation.done
    lease.note("", step="stopping")
    for _look in range(LOOKS):
        time.sleep(PAUSE_S)
        try:
            now = _where_it_stands(api, name, insecure=insecure)
        except ollama.Interrupted:
            continue  # it is ending just now
        except ollama.OllamaError as error:
            return f"It could not be made sure that the node stopped: {error}"
        if now is None:
            lease.note("The transfer had ended before it could be stopped.")
            return ""
        if now.done - before <= SLACK_BYTES + rate // 2:
            lease.note(f"The node stopped at {now.done} of {now.total} bytes and keeps them.")
            return ""
        lease.note(f"The node goes on: {now.done} of {now.total} bytes.")
        before = now.done
    return "The node goes on with the transfer although the connection was closed."


def _where_it_stands(api: ollama.Node, name: str, *, insecure: bool) -> Meter | None:
    """The first figures that the node gives for a pull of `name`; None when all of it is there."""
    meter, deadline = Meter(), time.monotonic() + LOOK_S
    asked = api.pull(name, insecure=insecure)
    for step in asked:
        meter.add(step)
        if step.total and step.done < step.total:
            asked.hang_up()
            return meter
        if time.monotonic() > deadline:
            asked.hang_up()
            raise ollama.Timeout("the node gave no figures in time.")
    return None
