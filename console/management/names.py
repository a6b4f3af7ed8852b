"""What a command means by a name: one thing, or an error that says what there is."""

from __future__ import annotations

from django.core.management.base import CommandError

from deployments.models import Deployment, Model, Node

SHOWN = 20


def node_named(name: str) -> Node:
    node = Node.objects.filter(name=name).first()
    if node is None:
        names = ", ".join(Node.objects.values_list("name", flat=True)[:SHOWN])
        raise CommandError(f"There is no node {name}. There are: {names or 'none'}.")
    return node


def deployment_named(name: str, *, gone: bool = False) -> Deployment:
    """The deployment of a name; with `gone` also one that was just deleted."""
    rows = Deployment.objects.all() if gone else Deployment.objects.present()
    rows = rows.select_related("current", "target__model").order_by("-created_at")
    deployment = rows.filter(name=name).first()
    if deployment is None:
        names = ", ".join(Deployment.objects.present().values_list("name", flat=True)[:SHOWN])
        raise CommandError(f"There is no deployment {name}. There are: {names or 'none'}.")
    return deployment


def model_of(digest: str) -> Model:
    found = list(Model.objects.filter(digest__startswith=digest)[:2])
    if len(digest) < 8 or len(found) != 1:
        raise CommandError(f"{digest} names no model, or more than one; `model list` shows them.")
    return found[0]
