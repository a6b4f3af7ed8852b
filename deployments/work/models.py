"""Having a node pull a model, and what all transfers have in common."""

from __future__ import annotations

import time

from django.conf import settings
from django.utils.translation import gettext_noop as _

from access.said import Said, Text, quote, say
from deployments import fleet, ollama
from deployments.lease import Lease
from deployments.models import Node
from deployments.work import stopping

TRIES = 10
PAUSE_S = 2.0


def pull_model(lease: Lease) -> None:
    """Have the node pull; what it has already is kept, so that a second try resumes."""
    node, arguments = node_of(lease), lease.operation.arguments
    api = fleet.api(node)
    lease.step("check", asked(api))
    lease.step("pull", str(arguments["name"]))
    for tries_left in reversed(range(TRIES)):
        try:
            transfer(lease, api.pull(arguments["name"], insecure=bool(arguments.get("insecure"))))
            break
        except ollama.Interrupted:
            if not tries_left:
                raise
            lease.note(
                say(_("The node is still ending an earlier pull of this; it is asked again."))
            )
            time.sleep(PAUSE_S)
    record(lease, node)


def pull_cancelled(lease: Lease) -> Text:
    """Say "stopping" until the node has. What it pulled so far stays and is resumed later."""
    arguments, node = lease.operation.arguments, lease.operation.node
    if node is None or lease.operation.step not in ("pull", "stopping"):
        return ""
    return stopping.until_stopped(
        lease,
        fleet.api(node),
        str(arguments["name"]),
        insecure=bool(arguments.get("insecure")),
    )


def transfer(lease: Lease, steps: ollama.Steps) -> None:
    """Follow a pull or push to its end; a transfer that stands still is given up."""
    meter, status = stopping.Meter(), ""
    moved, seen = time.monotonic(), -1
    for step in lease.follow(steps):
        meter.add(step)
        lease.progress(meter.done, meter.total)
        if step.status != status:
            status = step.status
            lease.note(quote(status))
            moved = time.monotonic()
        if meter.done != seen:
            seen, moved = meter.done, time.monotonic()
        elif time.monotonic() - moved > settings.TRANSFER_STALL_S:
            raise ollama.Timeout(
                say(
                    _(
                        "No byte came for %(seconds)d seconds. Look whether the registry can be "
                        "reached from the node, then try again: what is there already is kept."
                    ),
                    seconds=settings.TRANSFER_STALL_S,
                )
            )
    if status != "success":
        raise ollama.BadReply(
            say(_("The node ended the transfer without saying that it succeeded."))
        )


def record(lease: Lease, node: Node) -> None:
    lease.step("record")
    fleet.check(node)


def asked(api: ollama.Node) -> Said:
    """That the node answers, and as which version."""
    return say(_("Ollama %(version)s at %(url)s"), version=api.version(), url=api.url)


def node_of(lease: Lease) -> Node:
    node = lease.operation.node
    if node is None:
        raise ollama.OllamaError(say(_("The node has been removed meanwhile.")))
    return node
