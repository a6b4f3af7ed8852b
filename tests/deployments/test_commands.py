"""The same verbs from the machine itself: manage.py model and operation."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from audit.ledger.models import Event
from deployments.models import Approval, Model, Node, Operation, StoredModel
from tests.conftest import MODEL


def run(*arguments: str) -> str:
    told = io.StringIO()
    call_command(*arguments, stdout=told, stderr=io.StringIO())
    return told.getvalue()


def test_models_are_listed_approved_and_revoked(node: Node) -> None:
    digest = Model.objects.get(stored__tag=MODEL).digest
    assert "not approved" in run("model", "list")
    run("model", "approve", digest[:12], "--accept-licence")
    assert Approval.objects.get().digest == digest
    run("model", "revoke-approval", digest)
    assert not Approval.objects.exists()
    assert Event.objects.filter(act="model.approve").get().actor_id == "system:manage.py model"


def test_pull_import_and_copy_give_operations(node: Node, tmp_path: object) -> None:
    other = Node.objects.create(name="other", url="http://127.0.0.1:9")
    run("model", "pull", "x:1", "--node", "node-1", "--no-wait")
    run("model", "copy", MODEL, "--node", "node-1", "--to", "other", "--no-wait")
    run("model", "import", "y:1", "--file", __file__, "--node", "other", "--no-wait")
    kinds = set(Operation.objects.values_list("kind", "node__name"))
    assert kinds == {("pull", "node-1"), ("copy", other.name), ("import", other.name)}


def test_what_is_not_there_is_said_so(db: None) -> None:
    with pytest.raises(CommandError, match="no node nowhere"):
        run("model", "pull", "x", "--node", "nowhere")
    with pytest.raises(CommandError, match="names no model"):
        run("model", "approve", "abc")
    with pytest.raises(CommandError, match="no such operation"):
        run("operation", "show", "00000000-0000-0000-0000-000000000000")


def test_operations_are_listed_shown_cancelled_and_tried_again(db: None) -> None:
    node = Node.objects.create(name="n", url="http://127.0.0.1:9")
    operation = Operation.objects.create(kind="pull", subject="x:1", node=node)
    assert "queued" in run("operation", "list")
    assert "stopping" in run("operation", "cancel", str(operation.pk))
    Operation.objects.update(state="failed", problem="why")
    assert "why" in run("operation", "show", str(operation.pk))
    run("operation", "retry", str(operation.pk))
    assert Operation.objects.count() == 2
    with pytest.raises(CommandError, match="once"):
        run("operation", "retry", str(operation.pk))


def test_the_last_copy_is_deleted_only_where_it_is(db: None) -> None:
    node = Node.objects.create(name="n", url="http://127.0.0.1:9")
    model = Model.objects.create(digest="a" * 64, name="m")
    StoredModel.objects.create(node=node, model=model, tag="m:1")
    with pytest.raises(CommandError, match="did not delete"):
        run("model", "delete", "m:1", "--node", "n")
    assert StoredModel.objects.exists()
