"""Verbs on bundles: a model as one signed file, written on one side and read on the other."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from deployments.actions.operations import enqueue
from deployments.model_names import valid_model_name
from deployments.models import Node, Operation, OperationKind, StoredModel


def export_bundle(*, actor: Actor, stored: StoredModel, path: Path) -> Operation:
    """Write a stored model into a signed bundle at `path`, which is where the operation runs."""
    policy.require(actor, Act.MODEL_EXPORT, stored.pk)
    if path.exists() or not path.parent.is_dir():
        raise Invalid(_("%(path)s cannot be written or is there already.") % {"path": path})
    with transaction.atomic():
        operation = enqueue(
            actor,
            OperationKind.EXPORT,
            stored.tag,
            node=stored.node,
            arguments={
                "tag": stored.tag,
                "digest": stored.model.digest,
                "source": str(stored.node_id),
                "path": str(path.absolute()),
            },
        )
        log.record(
            actor,
            Act.MODEL_EXPORT,
            operation.as_obj(),
            stored.model.as_obj(),
            stored.node.as_obj(),
            details={"file": path.name},
        )
    return operation


def unpack_bundle(
    *, actor: Actor, node: Node, path: Path, name: str = "", trust: str = ""
) -> Operation:
    """Check a bundle from end to end and bring its model to `node`. `trust` is a public key that
    is believed this once, beside those of the settings."""
    policy.require(actor, Act.MODEL_UNPACK, node.pk)
    name = valid_model_name(name) if name else ""
    if not path.is_file():
        raise Invalid(_("There is no file %(path)s.") % {"path": path}, field="path")
    with transaction.atomic():
        operation = enqueue(
            actor,
            OperationKind.UNPACK,
            name or path.name[:200],
            node=node,
            arguments={"path": str(path.absolute()), "name": name, "trust": trust.strip()},
        )
        log.record(
            actor,
            Act.MODEL_UNPACK,
            operation.as_obj(),
            node.as_obj(),
            details={"file": path.name, "trust": trust.strip()},
        )
    return operation
