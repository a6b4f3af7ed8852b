"""The verbs of the deployments room, one module a noun. Keyword-only, actor first."""

from deployments.actions.deployments import create_deployment, delete, start, stop
from deployments.actions.models import delete_model, import_model, pull_model
from deployments.actions.nodes import (
    cordon,
    drain,
    refresh_node,
    register_node,
    remove_node,
    uncordon,
    update_node,
)
from deployments.actions.operations import cancel_operation, retry_operation
from deployments.actions.rollouts import change, place, restore, rollback

__all__ = [
    "cancel_operation",
    "change",
    "cordon",
    "create_deployment",
    "delete",
    "delete_model",
    "drain",
    "import_model",
    "place",
    "pull_model",
    "refresh_node",
    "register_node",
    "remove_node",
    "restore",
    "retry_operation",
    "rollback",
    "start",
    "stop",
    "uncordon",
    "update_node",
]
