"""The same verbs from the machine itself: manage.py node, model, deployment and operation."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from audit.ledger.models import Event
from deployments import fleet
from deployments.models import Approval, Deployment, Model, Node, Operation, StoredModel
from tests.conftest import MODEL, run_all


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


# --- nodes and deployments -------------------------------------------------------------------


def test_a_node_is_labelled_taken_out_of_service_and_back(node: Node, tmp_path: Path) -> None:
    headers = tmp_path / "headers.txt"
    headers.write_text("Authorization: Bearer of-the-proxy\n")
    run("node", "update", "node-1", "--label", "site=lyon", "--label", "gpu",
        "--memory", "16000000000", "--headers", str(headers))  # fmt: skip
    assert "cordoned" in run("node", "cordon", "node-1")
    assert "cordoned" in run("node", "list")
    assert "open" in run("node", "uncordon", "node-1")
    node.refresh_from_db()
    assert node.labels == ["gpu", "site=lyon"]
    assert node.memory_declared == 16_000_000_000
    assert "of-the-proxy" not in node.sealed
    assert fleet.access_of(node).headers == {"Authorization": "Bearer of-the-proxy"}
    acts = set(Event.objects.filter(actor_id="system:manage.py node").values_list("act", flat=True))
    assert acts == {"node.update", "node.cordon", "node.uncordon"}


def test_a_node_is_added_and_removed(model_node_url: str, db: None) -> None:
    assert "online" in run("node", "add", "mine", "--url", model_node_url)
    run("node", "remove", "mine")
    assert not Node.objects.exists()
    with pytest.raises(CommandError, match="There is no node mine"):
        run("node", "remove", "mine")
    with pytest.raises(CommandError, match="No Ollama answers"):
        run("node", "add", "mine", "--url", "http://127.0.0.1:9")


def test_a_deployment_is_made_changed_rolled_back_and_deleted(
    node: Node, model: Model, tmp_path: Path
) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Answer briefly.")
    digest = model.digest[:12]
    run("deployment", "create", "claims", "--model", digest, "--node", "node-1",
        "--set", "num_ctx=512", "--set", "temperature=0")  # fmt: skip
    run_all()
    assert "claims  live  r1" in run("deployment", "list")
    run("deployment", "change", "claims", "--system-prompt", str(prompt), "--note", "shorter")
    run_all()
    said = run("deployment", "show", "claims")
    assert "live  r2" in said
    assert "node-1  r2  ready" in said
    revision = Deployment.objects.get().current
    assert revision is not None
    assert (revision.system_prompt, revision.note) == ("Answer briefly.", "shorter")
    assert revision.parameters["num_ctx"] == 512
    assert "+ system prompt:\n+   Answer briefly." in run(
        "deployment", "compare", "claims", "1", "2"
    )
    with pytest.raises(CommandError, match="no revision 7"):
        run("deployment", "compare", "claims", "1", "7")
    run("deployment", "place", "claims", "--strategy", "one-by-one")
    assert Deployment.objects.get().strategy == "one-by-one"
    run("deployment", "rollback", "claims")
    run_all()
    assert "live  r1" in run("deployment", "show", "claims")
    for verb, state in (("stop", "stopped"), ("start", "live"), ("delete", "deleted")):
        run("deployment", verb, "claims")
        run_all()
        assert Deployment.objects.get().state == state


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "nothing"], "There is no deployment nothing"),
        (["create", "x", "--model", "00000000"], "names no model"),
        (["create", "x", "--model", "{digest}", "--set", "heat=9"], "heat"),
        (["create", "x", "--model", "{digest}", "--schema", "/nowhere"], "cannot be read"),
        (["create", "Not A Name", "--model", "{digest}"], "name"),
    ],
)
def test_what_cannot_be_is_refused(model: Model, arguments: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run("deployment", *(a.format(digest=model.digest[:12]) for a in arguments))
    assert not Deployment.objects.exists()
