"""Rules of alarms that need to know the nodes, and the alarms that are open about them.

What a node says of itself becomes an alarm where it is stored (deployments.attest).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from audit.office.alarming.standing import Finding, values_of
from audit.office.models import Alarm
from deployments.models import Node, NodeStatus


def node_silent(_since: datetime | None) -> list[Finding]:
    """Nodes that have not answered for a while."""
    limit = timedelta(minutes=values_of("node_silent")["minutes"])
    now = timezone.now()
    found = []
    for node in Node.objects.filter(status=NodeStatus.UNREACHABLE):
        since = node.seen_at or node.created_at
        if now - since > limit:
            found.append(Finding(node.as_obj(), facts={"since": since.isoformat()}))
    return found


def open_about(nodes: Iterable[Node]) -> list[Alarm]:
    """The open alarms about these nodes, the newest first."""
    ids = [str(node.pk) for node in nodes]
    return list(Alarm.objects.open().filter(subject_type="node", subject_id__in=ids))
