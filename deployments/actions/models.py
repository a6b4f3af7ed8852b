"""Verbs on models: bringing them to a node and taking them away."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from deployments import fleet, ollama
from deployments.actions.operations import enqueue
from deployments.model_names import valid_model_name
from deployments.models import (
    UNDER_WAY,
    Deployment,
    Node,
    Operation,
    OperationKind,
    StoredModel,
)


def import_model(*, actor: Actor, node: Node, name: str, path: Path) -> Operation:
    """Upload a GGUF file that the worker can read and make a model of it on `node`."""
    policy.require(actor, Act.MODEL_IMPORT, node.pk)
    name = valid_model_name(name)
    if not path.is_file():
        raise Invalid(_("There is no file %(path)s.") % {"path": path}, field="path")
    with transaction.atomic():
        operation = enqueue(
            actor,
            OperationKind.IMPORT,
            name,
            node=node,
            arguments={"name": name, "path": str(path)},
        )
        log.record(actor, Act.MODEL_IMPORT, operation.as_obj(), node.as_obj())
    return operation


def pull_model(*, actor: Actor, node: Node, name: str, insecure: bool = False) -> Operation:
    """Have `node` pull a model. Asking twice for the same pull gives the one that is under way."""
    policy.require(actor, Act.MODEL_PULL, node.pk)
    name = valid_model_name(name)
    with transaction.atomic():
        locked = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
        running = locked.operations.filter(
            kind=OperationKind.PULL,
            subject=name,
            state__in=UNDER_WAY,
            cancel_requested_at=None,
        ).first()
        operation = running or enqueue(
            actor,
            OperationKind.PULL,
            name,
            node=locked,
            arguments={"name": name, "insecure": insecure},
        )
        log.record(
            actor,
            Act.MODEL_PULL,
            operation.as_obj(),
            locked.as_obj(),
            details={"name": name, "insecure": insecure, "shared": running is not None},
        )
    return operation


def copy_model(*, actor: Actor, stored: StoredModel, node: Node) -> Operation:
    """Copy a stored model to another node under the same tag."""
    policy.require(actor, Act.MODEL_COPY, stored.pk)
    if stored.node_id == node.pk:
        raise Invalid(_("It is on this node already. Choose another one."), field="node")
    with transaction.atomic():
        locked = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
        if locked.stored.filter(tag=stored.tag).exists():
            raise Invalid(_("%(node)s has a model of this name.") % {"node": locked}, field="node")
        running = locked.operations.filter(
            kind=OperationKind.COPY,
            subject=stored.tag,
            state__in=UNDER_WAY,
            cancel_requested_at=None,
        ).first()
        operation = running or enqueue(
            actor,
            OperationKind.COPY,
            stored.tag,
            node=locked,
            arguments={
                "tag": stored.tag,
                "digest": stored.model.digest,
                "source": str(stored.node_id),
            },
        )
        log.record(
            actor,
            Act.MODEL_COPY,
            operation.as_obj(),
            stored.model.as_obj(),
            locked.as_obj(),
            details={"source": stored.node.name, "shared": running is not None},
        )
    return operation


def delete_model(*, actor: Actor, stored: StoredModel) -> None:
    """Remove a model from a node. Refused while a deployment there is made of it."""
    policy.require(actor, Act.MODEL_DELETE, stored.pk)
    with transaction.atomic():
        locked = StoredModel.objects.select_for_update().get(pk=stored.pk)
        users = (
            Deployment.objects.present()
            .filter(revisions__model=locked.model_id, revisions__replicas__node=locked.node_id)
            .distinct()
        )
        if names := ", ".join(d.name for d in users[:5]):
            raise WrongState(
                _("Deployments on this node are made of it: %(names)s. Delete them first.")
                % {"names": names}
            )
        if Operation.objects.filter(
            state__in=UNDER_WAY,
            arguments__source=str(locked.node_id),
            arguments__tag=locked.tag,
        ).exists():
            raise WrongState(_("It is being copied from this node; wait for that or cancel it."))
        node, model = locked.node, locked.model
        log.record(
            actor, Act.MODEL_DELETE, model.as_obj(), node.as_obj(), details={"tag": locked.tag}
        )
        tag = locked.tag
        locked.delete()
        # Last in the transaction: a node that refuses rolls the event and the row back.
        try:
            fleet.api(node).delete(tag)
        except ollama.OllamaError as error:
            raise WrongState(
                _("The node did not delete it: %(reason)s") % {"reason": error}
            ) from error
