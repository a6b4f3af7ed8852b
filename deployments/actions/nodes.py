"""Verbs on nodes. What a node says of itself is written by deployments.fleet."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from deployments import fleet
from deployments.addresses import checked_url
from deployments.models import Deployment, Node, NodeStatus

NODE_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


def register_node(*, actor: Actor, name: str, url: str) -> Node:
    """Add a machine that runs Ollama, after it has answered as Ollama does."""
    policy.require(actor, Act.NODE_REGISTER)
    name, url = _valid_name(name), checked_url(url)
    report = _answer(url)
    node = Node(name=name, url=url)
    with transaction.atomic():
        _save(node, force_insert=True)
        fleet.store(node, report)
        log.record(actor, Act.NODE_REGISTER, node.as_obj(), changes=[Change("url", None, url)])
    return node


def update_node(*, actor: Actor, node: Node, name: str, url: str) -> Node:
    """Rename a node or follow it to a new address."""
    policy.require(actor, Act.NODE_UPDATE, node.pk)
    name, url = _valid_name(name), checked_url(url)
    report = _answer(url) if url != node.url else None
    with transaction.atomic():
        locked = Node.objects.select_for_update().get(pk=node.pk)
        changes = [
            Change(field, getattr(locked, field), value)
            for field, value in (("name", name), ("url", url))
            if getattr(locked, field) != value
        ]
        if not changes:
            return locked
        locked.name, locked.url = name, url
        _save(locked, update_fields=["name", "url"])
        if report is not None:
            fleet.store(locked, report)
        log.record(actor, Act.NODE_UPDATE, locked.as_obj(), changes=changes)
    return locked


def remove_node(*, actor: Actor, node: Node) -> None:
    """Forget a node. Refused while a deployment is on it; nothing on the node is touched."""
    policy.require(actor, Act.NODE_REMOVE, node.pk)
    with transaction.atomic():
        locked = Node.objects.select_for_update().get(pk=node.pk)
        users = Deployment.objects.present().filter(revisions__replicas__node=locked).distinct()
        if names := ", ".join(d.name for d in users[:5]):
            raise WrongState(
                _("Deployments are on this node: %(names)s. Delete them first.") % {"names": names}
            )
        log.record(
            actor, Act.NODE_REMOVE, locked.as_obj(), changes=[Change("url", locked.url, None)]
        )
        locked.replicas.all().delete()
        locked.delete()


def refresh_node(*, actor: Actor, node: Node) -> Node:
    """Ask the node now instead of at the next round."""
    policy.require(actor, Act.NODE_REFRESH, node.pk)
    report = fleet.ask(node.url)
    with transaction.atomic():
        locked = Node.objects.select_for_update().get(pk=node.pk)
        fleet.store(locked, report)
        log.record(
            actor,
            Act.NODE_REFRESH,
            locked.as_obj(),
            outcome="success" if report.status == NodeStatus.ONLINE else "failure",
            reason=report.problem,
        )
    return locked


def _valid_name(name: str) -> str:
    name = name.strip().lower()
    if not NODE_NAME.match(name):
        raise Invalid(_("A node name has 1 to 63 small letters, digits and hyphens."), field="name")
    return name


def _answer(url: str) -> fleet.Report:
    """What the node at `url` says; Invalid with its reason when it does not answer as Ollama."""
    report = fleet.ask(url)
    if report.status != NodeStatus.ONLINE:
        raise Invalid(
            _(
                "No Ollama answers at %(url)s: %(reason)s Check the address and that Ollama "
                "runs there."
            )
            % {"url": url, "reason": report.problem},
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
