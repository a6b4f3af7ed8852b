"""Comparing what a node holds under our tags with what was attested, and raising alarms.

A tag that is gone is made again; one whose content changed is taken out of service and shown, for
a person to decide. Whoever calls is inside the transaction that stores the node's answer.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext_noop as _

from access.said import Text, english, say
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from audit.office.alarming import standing
from audit.office.alarming.standing import Finding
from deployments import ollama
from deployments.models import Node, Replica, ReplicaState

# An answer that was under way while the tag was being made says nothing about it.
MARGIN = timedelta(seconds=5)
FLEET = Actor.system("fleet")
FIRST_WITH_CLOUD = (0, 12)
# The first that can write the bodies of requests to disk: OLLAMA_DEBUG_LOG_REQUESTS.
FIRST_WITH_REQUEST_LOG = (0, 18, 3)
# The first whose /api/create takes what a revision is made of as we send it.
OLDEST = (0, 5, 5)
CLOCK_S = 60.0
# The rules of alarms (audit.office.alarming) that are about what a node says of itself.
KINDS = ("changed_tag", "remote_model", "cloud_on", "clock_off", "version_old")


def compare(node: Node, asked_at: datetime) -> list[str]:
    """Mark replicas whose tag is gone or changed; returns the tags that are not what we made."""
    made = [ReplicaState.READY, ReplicaState.STANDBY, ReplicaState.DRAINING, ReplicaState.STOPPED]
    replicas = (
        Replica.objects.select_for_update(of=("self",))
        .filter(node=node, attested_at__lt=asked_at - MARGIN)
        .select_related("revision__deployment", "revision__model")
    )
    foreign = []
    for replica in replicas.filter(state__in=[*made, ReplicaState.FOREIGN]):
        tag = replica.revision.tag
        held = node.tags.get(tag)
        if replica.state == ReplicaState.FOREIGN:
            foreign.append(tag)
        elif held is None:
            gone = say(_("The tag is gone from the node."))
            _out_of_service(replica, ReplicaState.PENDING, gone, "")
        elif held != replica.digest:
            reason = say(_("%(tag)s is not what was attested: sha256:%(held)s"), tag=tag, held=held)
            _out_of_service(replica, ReplicaState.FOREIGN, reason, held)
            foreign.append(tag)
    return foreign


def _out_of_service(replica: Replica, state: ReplicaState, reason: Text, held: str) -> None:
    before = replica.digest
    replica.state, replica.problem = state, reason
    if state == ReplicaState.PENDING:
        replica.digest, replica.attested_at = "", None
    replica.save(update_fields=["state", "problem", "digest", "attested_at"])
    log.record(
        FLEET,
        Act.DEPLOYMENT_DRIFT,
        replica.revision.deployment.as_obj(),
        replica.revision.model.as_obj(),
        replica.node.as_obj(),
        outcome="failure",
        reason=english(reason)[:300],
        changes=[Change("digest", before, held or None)],
    )


def raise_alarms(node: Node, house: ollama.House | None, foreign: list[str]) -> list[str]:
    """Set the node's `house`, and have alarms stand for what is wrong. Returns the fields."""
    found = [("changed_tag", tag) for tag in foreign]
    if house is not None:
        node.house = {"cloud_off": house.cloud_off, "remote": house.remote}
        found += [("remote_model", name) for name in house.remote]
        if is_closed(node) is False:
            found.append(("cloud_on", ""))
        if house.ahead_s is not None and abs(house.ahead_s) > CLOCK_S:
            found.append(("clock_off", ""))
    if is_too_old(node.version):
        found.append(("version_old", node.version[:64]))
    about = node.as_obj()
    for kind in KINDS:
        findings = [Finding(about, part=subject) for rule, subject in found if rule == kind]
        standing.apply(kind, findings, about=about)
    return ["house"]


def is_too_old(version: str) -> bool:
    """Whether deployments cannot be made there. A build of 0.0.0 may be anything."""
    return (0, 0, 0) < _number(version) < OLDEST


def keeps_no_requests(node: Node) -> bool | None:
    """Whether what people ask stays off the node's disk: its version cannot write it, or somebody
    looked. None when nobody knows: Ollama does not tell how it was started."""
    return (
        True
        if (0, 0, 0) < _number(node.version) < FIRST_WITH_REQUEST_LOG
        else (node.request_log_off or None)
    )


def _number(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(int(part) for part in found.groups()) if found else (0, 0, 0)


def is_closed(node: Node) -> bool | None:
    """Whether nothing can leave through this node; None when its version does not say."""
    said: Any = node.house.get("cloud_off")
    if said is not None:
        return bool(said)
    found = re.match(r"v?(\d+)\.(\d+)", node.version)
    if found and (int(found[1]), int(found[2])) < FIRST_WITH_CLOUD:
        return True
    return None
