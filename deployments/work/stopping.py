"""Seeing to it that a node really stopped: it may go on with a transfer after we hung up.

A node lists no transfers, but a second pull of the same name joins one that is under way and
reports where that stands. So we ask again after a pause: bytes that came meanwhile tell.
"""

from __future__ import annotations

import time

from django.utils.translation import gettext_noop as _

from access.said import Text, say
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


def until_stopped(lease: Lease, api: ollama.Node, name: str, *, insecure: bool) -> Text:
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
            return say(
                _("It could not be made sure that the node stopped: %(reason)s"), reason=error.text
            )
        if now is None:
            lease.note(say(_("The transfer had ended before it could be stopped.")))
            return ""
        figures = {"done": now.done, "total": now.total}
        if now.done - before <= SLACK_BYTES + rate // 2:
            lease.note(
                say(_("The node stopped at %(done)d of %(total)d bytes and keeps them."), **figures)
            )
            return ""
        lease.note(say(_("The node goes on: %(done)d of %(total)d bytes."), **figures))
        before = now.done
    return say(_("The node goes on with the transfer although the connection was closed."))


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
            raise ollama.Timeout(say(_("the node gave no figures in time.")))
    return None
