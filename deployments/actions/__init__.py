"""The verbs of the deployments room, one module a noun. Keyword-only, actor first."""

from deployments.actions.approvals import approve_model, revoke_approval
from deployments.actions.bundles import export_bundle, unpack_bundle
from deployments.actions.deployments import create_deployment, delete, start, stop
from deployments.actions.documents import extract_document
from deployments.actions.models import copy_model, delete_model, import_model, pull_model
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
from deployments.actions.scenarios import forget_samples, try_scenario
from deployments.actions.uploads import (
    append,
    begin_upload,
    discard_stale_uploads,
    discard_upload,
    finish_upload,
)

__all__ = [
    "append",
    "approve_model",
    "begin_upload",
    "cancel_operation",
    "change",
    "copy_model",
    "cordon",
    "create_deployment",
    "delete",
    "delete_model",
    "discard_stale_uploads",
    "discard_upload",
    "drain",
    "export_bundle",
    "extract_document",
    "finish_upload",
    "forget_samples",
    "import_model",
    "place",
    "pull_model",
    "refresh_node",
    "register_node",
    "remove_node",
    "restore",
    "retry_operation",
    "revoke_approval",
    "rollback",
    "start",
    "stop",
    "try_scenario",
    "uncordon",
    "unpack_bundle",
    "update_node",
]
