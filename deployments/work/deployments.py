"""Switching a deployment on, stopping and deleting it. Every step may be run twice."""

from __future__ import annotations

import re
import time
from dataclasses import asdict

from django.db import transaction
from django.utils import timezone

from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from deployments import ollama
from deployments.lease import Lease
from deployments.models import (
    Deployment,
    DeploymentState,
    Node,
    Replica,
    ReplicaState,
    Revision,
)

PROBE = "Answer with one short sentence: what is the capital of France?"
WORKER = Actor.system("worker")
UNLOAD_S = 30.0


def deploy(lease: Lease) -> None:
    """Make the revision's tag on the node, load it, have it answer, then open the route."""
    revision, node = _target(lease)
    api = ollama.Node(node.url)
    lease.step("check", f"Ollama {api.version()} at {node.url}")
    base = _base_tag(api, revision)
    lease.step("create", f"{revision.tag} from {base}")
    lease.call(
        lambda: api.create_from(
            revision.tag, base, system=revision.system_prompt, parameters=revision.parameters
        )
    )
    digest = api.digest_of(revision.tag)
    if digest is None:
        raise ollama.BadReply(f"The node made {revision.tag}, but does not list it.")
    lease.note(f"sha256:{digest}")
    lease.step("load")
    lease.call(lambda: api.load(revision.tag))
    lease.step("probe", PROBE)
    probe = lease.call(lambda: api.probe(revision.tag, PROBE))
    if not is_language(probe.text):
        raise ollama.BadReply(
            f"The model loaded, but its answer is no language: “{probe.text[:60]}”."
        )
    lease.note(f"{probe.text.strip()} ({probe.tokens} tokens, {probe.total_ms} ms)")
    lease.step("publish")
    _publish(lease, revision, node, digest, probe)


def is_language(text: str) -> bool:
    """Whether an answer has words: letters, and more than one of them repeated."""
    letters = re.findall(r"[^\W\d_]", text)
    return len(set(letters)) > 1


def _publish(
    lease: Lease, revision: Revision, node: Node, digest: str, probe: ollama.Probe
) -> None:
    with transaction.atomic():
        lease.write(step="publish")
        deployment = Deployment.objects.select_for_update().get(pk=revision.deployment_id)
        Replica.objects.filter(revision=revision, node=node).update(
            state=ReplicaState.READY, digest=digest, problem="", probe=asdict(probe)
        )
        deployment.state, deployment.problem = DeploymentState.LIVE, ""
        deployment.live_at = timezone.now()
        deployment.save(update_fields=["state", "problem", "live_at"])
        log.record(
            WORKER,
            Act.DEPLOYMENT_LIVE,
            deployment.as_obj(),
            revision.model.as_obj(),
            node.as_obj(),
            ai={
                "deployment": deployment.name,
                "revision": revision.number,
                "model": revision.model.name,
                "digest": revision.model.digest,
                "tag_digest": digest,
            },
        )


def deploy_failed(lease: Lease, reason: str) -> None:
    """Leave nothing half made on the node, and say why on the deployment."""
    revision, node = _target(lease)
    left = _remove(ollama.Node(node.url), revision.tag)
    if left:
        reason = f"{reason} ({revision.tag} is still on the node: {left})"
    with transaction.atomic():
        _settle(revision, ReplicaState.FAILED, DeploymentState.FAILED, reason)
        log.record(
            WORKER,
            Act.DEPLOYMENT_FAILED,
            revision.deployment.as_obj(),
            revision.model.as_obj(),
            node.as_obj(),
            outcome="failure",
            reason=reason,
        )


def deploy_cancelled(lease: Lease) -> None:
    revision, node = _target(lease)
    left = _remove(ollama.Node(node.url), revision.tag)
    with transaction.atomic():
        _settle(revision, ReplicaState.STOPPED, DeploymentState.STOPPED, left)
        log.record(
            WORKER,
            Act.DEPLOYMENT_STOPPED,
            revision.deployment.as_obj(),
            outcome="aborted",
            reason="switching on was cancelled",
        )


def stop(lease: Lease) -> None:
    """The route closed with the verb; Ollama itself waits for answers under way, then unloads."""
    revision, node = _target(lease)
    lease.step("drain")
    lease.step("unload", revision.tag)
    api = ollama.Node(node.url)
    try:
        api.unload(revision.tag)
    except ollama.ModelMissing:
        lease.note("It was not there any more.")
    _wait_until_out_of_memory(lease, api, revision.tag)
    with transaction.atomic():
        lease.write(step="unload")
        _settle(revision, ReplicaState.STOPPED, DeploymentState.STOPPED, "")
        log.record(WORKER, Act.DEPLOYMENT_STOPPED, revision.deployment.as_obj(), node.as_obj())


def _wait_until_out_of_memory(lease: Lease, api: ollama.Node, tag: str) -> None:
    """The node says yes at once and unloads when the answers under way have ended."""
    deadline = time.monotonic() + UNLOAD_S
    while tag in {loaded.name for loaded in api.loaded()}:
        lease.check()
        if time.monotonic() > deadline:
            lease.note("Answers are still under way; the node unloads it after them.")
            return
        time.sleep(0.2)


def delete(lease: Lease) -> None:
    """Unload and remove the tags of every revision; the model itself stays on the node."""
    deployment = lease.operation.deployment
    if deployment is None:
        return
    lease.step("drain")
    lease.step("remove")
    replicas = list(
        Replica.objects.filter(revision__deployment=deployment).select_related(
            "node", "revision__deployment"
        )
    )
    for replica in replicas:
        api = ollama.Node(replica.node.url)
        try:
            api.unload(replica.revision.tag)
        except ollama.Refused as error:
            lease.note(f"{replica.revision.tag}: {error}")
        if api.delete(replica.revision.tag):
            lease.note(replica.revision.tag)
    with transaction.atomic():
        lease.write(step="remove")
        Replica.objects.filter(revision__deployment=deployment).delete()
        Deployment.objects.filter(pk=deployment.pk).update(
            state=DeploymentState.DELETED, problem=""
        )
        log.record(
            WORKER,
            Act.DEPLOYMENT_DELETED,
            deployment.as_obj(),
            *(Obj("node", str(r.node_id), r.node.name) for r in replicas),
        )


def _settle(
    revision: Revision, replica: ReplicaState, deployment: DeploymentState, problem: str
) -> None:
    Replica.objects.filter(revision=revision).update(state=replica, problem=problem)
    Deployment.objects.filter(pk=revision.deployment_id).update(state=deployment, problem=problem)


def _base_tag(api: ollama.Node, revision: Revision) -> str:
    """The tag under which this node holds the revision's model, by digest."""
    for tag in api.tags():
        if tag.digest == revision.model.digest and not tag.name.startswith("fusebox/"):
            return tag.name
    raise ollama.ModelMissing(f"{revision.model.name} is no longer stored on this node.")


def _remove(api: ollama.Node, tag: str) -> str:
    """Remove what may be half made; the reason if that was not possible."""
    try:
        api.delete(tag)
    except ollama.OllamaError as error:
        return str(error)
    return ""


def _target(lease: Lease) -> tuple[Revision, Node]:
    revision, node = lease.operation.revision, lease.operation.node
    if revision is None or node is None:
        raise ollama.OllamaError("The node has been removed meanwhile.")
    return revision, node
