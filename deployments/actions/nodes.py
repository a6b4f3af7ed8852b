"""Verbs on nodes. What a node says of itself is written by deployments.fleet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from access import policy
from access.errors import Invalid, WrongState
from access.said import english, say
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from audit.office.alarming import standing
from deployments import attest, connection, fleet, wake
from deployments.addresses import checked_url
from deployments.models import Deployment, Node, NodeStatus, ReplicaState
from deployments.wishes import Duty, valid_labels, valid_server

NODE_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
MAX_MEMORY = 2**50
PLAIN_FIELDS = (
    "name",
    "url",
    "labels",
    "memory_declared",
    "exporter_url",
    "request_log_off",
    "server",
)


def register_node(*, actor: Actor, name: str, url: str, **more: Any) -> Node:
    """Add a machine that runs Ollama, after it has answered as Ollama does.

    `more`: labels, memory_declared, exporter_url, request_log_off, server, headers, ca,
    client_certificate, client_key.
    """
    policy.require(actor, Act.NODE_REGISTER)
    node = Node()
    changes = _set(node, {"name": name, "url": url, **more})
    report = _answer(node)
    with transaction.atomic():
        _save(node, force_insert=True)
        fleet.store(node, report)
        log.record(actor, Act.NODE_REGISTER, node.as_obj(), changes=changes)
        wake.reconcile_after_commit()
    return node


def update_node(*, actor: Actor, node: Node, **fields: Any) -> Node:
    """Rename a node, label it, follow it to a new address; what is not given stays."""
    policy.require(actor, Act.NODE_UPDATE, node.pk)
    tried = Node.objects.get(pk=node.pk)
    changes = _set(tried, fields)
    asked = {c.field for c in changes} & {"url", "headers", "ca", "client_certificate"}
    report = _answer(tried) if asked else None
    with transaction.atomic():
        locked = Node.objects.select_for_update().get(pk=node.pk)
        changes = _set(locked, fields)
        if not changes:
            return locked
        _save(locked, update_fields=[*PLAIN_FIELDS, "ca", "client_certificate", "sealed"])
        if report is not None:
            fleet.store(locked, report)
        log.record(actor, Act.NODE_UPDATE, locked.as_obj(), changes=changes)
        wake.reconcile_after_commit()
    return locked


def cordon(*, actor: Actor, node: Node) -> Node:
    """No new replicas come to the node; those on it go on serving."""
    policy.require(actor, Act.NODE_CORDON, node.pk)
    return _set_duty(actor, Act.NODE_CORDON, node, Duty.CORDONED)


def uncordon(*, actor: Actor, node: Node) -> Node:
    """The node takes replicas again."""
    policy.require(actor, Act.NODE_UNCORDON, node.pk)
    return _set_duty(actor, Act.NODE_UNCORDON, node, Duty.OPEN)


def drain(*, actor: Actor, node: Node) -> Node:
    """Move its replicas elsewhere without losing a request; refused without an elsewhere."""
    policy.require(actor, Act.NODE_DRAIN, node.pk)
    only_here = [
        d.name
        for d in _users(node).filter(wanted="on").prefetch_related("nodes")
        if [n.pk for n in d.nodes.all()] == [node.pk]
    ]
    if only_here:
        raise WrongState(
            _("%(names)s may run on this node only. Place it elsewhere or stop it first.")
            % {"names": ", ".join(only_here[:5])}
        )
    return _set_duty(actor, Act.NODE_DRAIN, node, Duty.DRAINING)


def _set_duty(actor: Actor, act: Act, node: Node, duty: Duty) -> Node:
    with transaction.atomic():
        locked = Node.objects.select_for_update().get(pk=node.pk)
        if locked.duty == duty:
            raise WrongState(
                _("The node is so already: “%(duty)s”.") % {"duty": locked.get_duty_display()}
            )
        before, locked.duty = locked.duty, duty
        locked.save(update_fields=["duty"])
        log.record(actor, act, locked.as_obj(), changes=[Change("duty", before, str(duty))])
        wake.reconcile_after_commit()
    return locked


def remove_node(*, actor: Actor, node: Node) -> None:
    """Forget a node; nothing on it is touched. Refused while a deployment is on it, unless the
    node is away and the deployment may run elsewhere."""
    policy.require(actor, Act.NODE_REMOVE, node.pk)
    with transaction.atomic():
        locked = Node.objects.select_for_update().get(pk=node.pk)
        away = locked.status == NodeStatus.UNREACHABLE
        users = [
            d.name
            for d in _users(locked).prefetch_related("nodes")
            if not away or locked in d.nodes.all()
        ]
        if users:
            raise WrongState(
                _("Deployments are on this node: %(names)s. Drain it or delete them first.")
                % {"names": ", ".join(users[:5])}
            )
        log.record(
            actor, Act.NODE_REMOVE, locked.as_obj(), changes=[Change("url", locked.url, None)]
        )
        standing.gone(locked.as_obj())
        locked.replicas.all().delete()
        locked.delete()
        wake.reconcile_after_commit()


def refresh_node(*, actor: Actor, node: Node) -> Node:
    """Ask the node now instead of at the next round."""
    policy.require(actor, Act.NODE_REFRESH, node.pk)
    report = fleet.ask_again(node, prove=True)
    with transaction.atomic():
        locked = Node.objects.select_for_update().get(pk=node.pk)
        fleet.store(locked, report)
        log.record(
            actor,
            Act.NODE_REFRESH,
            locked.as_obj(),
            outcome="success" if report.status == NodeStatus.ONLINE else "failure",
            reason=english(report.problem),
        )
    return locked


def _users(node: Node) -> Any:
    """Deployments that have a replica on the node or name it."""
    present = Deployment.objects.present()
    here = present.filter(revisions__replicas__node=node).exclude(
        revisions__replicas__state=ReplicaState.FAILED, revisions__replicas__node=node
    )
    return (here | present.filter(nodes=node)).distinct().order_by("name")


def _set(node: Node, given: Mapping[str, Any]) -> list[Change]:
    """Set what is given, checked; returns what changed. Secrets are named, never shown."""
    given = dict(given)
    changes = _set_connection(node, given)
    if given.get("url", node.url) != node.url:
        given.setdefault("request_log_off", False)  # another machine: nobody looked there
    checks: dict[str, Callable[[Any], Any]] = {
        "name": _valid_name,
        "url": checked_url,
        "labels": valid_labels,
        "memory_declared": _valid_memory,
        "exporter_url": _valid_exporter,
        "request_log_off": bool,
        "server": valid_server,
    }
    for field, value in given.items():
        new, old = checks[field](value), getattr(node, field)
        if new != old:
            setattr(node, field, new)
            changes.append(Change(field, _shown(old), _shown(new)))
    return changes


def _set_connection(node: Node, given: dict[str, Any]) -> list[Change]:
    """Headers, CA and client certificate; the key and the headers' values are sealed."""
    names = ("headers", "ca", "client_certificate", "client_key")
    found = {name: given.pop(name, None) for name in names}
    asked = {name: value for name, value in found.items() if value is not None}
    if not asked:
        return []
    try:
        old = fleet.access_of(node)
    except connection.Unsealable:
        old = connection.PLAIN
    headers = connection.valid_headers(asked.get("headers", old.headers))
    ca, certificate, key = connection.valid_tls(
        asked.get("ca", old.ca),
        asked.get("client_certificate", old.certificate),
        asked.get("client_key", old.key),
    )
    node.ca, node.client_certificate = ca, certificate
    node.sealed = connection.seal(headers, key)
    changes = []
    if dict(old.headers) != headers:
        changes.append(Change("headers", _names(old.headers), _names(headers)))
    if old.ca != ca:
        changes.append(Change("ca", bool(old.ca), bool(ca)))
    if (old.certificate, old.key) != (certificate, key):
        changes.append(Change("client_certificate", bool(old.certificate), bool(certificate)))
    return changes


def _names(headers: Mapping[str, str]) -> str | None:
    return ", ".join(sorted(headers)) or None


def _shown(value: object) -> str | int | None:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or None
    if isinstance(value, dict):
        return ", ".join(f"{name}={value[name]}" for name in sorted(value)) or None
    return value if isinstance(value, int) else str(value or "") or None


def _valid_name(name: str) -> str:
    name = name.strip().lower()
    if not NODE_NAME.match(name):
        raise Invalid(_("A node name has 1 to 63 small letters, digits and hyphens."), field="name")
    return name


def _valid_memory(value: object) -> int | None:
    if value in (None, ""):
        return None
    number = int(str(value)) if str(value).isdecimal() else -1
    if not 0 < number <= MAX_MEMORY:
        raise Invalid(_("Give the memory in bytes, or nothing."), field="memory_declared")
    return number


def _valid_exporter(url: str) -> str:
    if not url.strip():
        return ""
    try:
        return checked_url(url)
    except Invalid as error:
        raise Invalid(error.message, field="exporter_url") from error


def _answer(node: Node) -> fleet.Report:
    """What the node says; Invalid with its reason when it does not answer as Ollama."""
    report = fleet.ask(node.url, fleet.access_of(node))
    if report.status != NodeStatus.ONLINE:
        raise Invalid(
            say(
                gettext_noop(
                    "No Ollama answers at %(url)s: %(reason)s Check the address and that Ollama "
                    "runs there."
                ),
                url=node.url,
                reason=report.problem,
            ),
            field="url",
        )
    if attest.is_too_old(report.version):
        raise Invalid(
            _("The Ollama there is version %(version)s, which is too old. Update it to %(oldest)s.")
            % {"version": report.version, "oldest": ".".join(map(str, attest.OLDEST))},
            field="url",
        )
    return report


def _save(node: Node, **how: object) -> None:
    try:
        with transaction.atomic():
            node.save(**how)  # type: ignore[arg-type]
    except IntegrityError as error:
        if "url" in str(error):
            raise Invalid(_("There is a node at this address."), field="url") from error
        raise Invalid(_("There is a node of this name."), field="name") from error
