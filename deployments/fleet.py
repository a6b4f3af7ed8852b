"""What nodes say of themselves: asked outside a transaction, stored inside one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from access.errors import Invalid
from access.said import Text, english, say
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from deployments import attest, exporter, ollama, wake
from deployments.addresses import checked_url
from deployments.connection import PLAIN, Access, Unsealable, unseal
from deployments.lent import PASSING
from deployments.models import Model, Node, NodeCheck, NodeStatus, ReplicaState, StoredModel
from deployments.wishes import Keep

OURS = "fusebox/"
PROOF = "Say yes."
PROOF_S = 20.0
HISTORY = timedelta(hours=24)
FLEET = Actor.system("fleet")


@dataclass(frozen=True, slots=True)
class Report:
    """One round of questions to one node. `problem` is fit to be shown; empty when online."""

    status: NodeStatus
    problem: Text = ""
    version: str = ""
    tags: list[ollama.Tag] = field(default_factory=list)
    loaded: list[ollama.Loaded] = field(default_factory=list)
    facts: dict[str, ollama.Facts] = field(default_factory=dict)
    house: ollama.House | None = None
    proof_ms: int | None = None
    machine: dict[str, Any] = field(default_factory=dict)
    asked_at: datetime = field(default_factory=timezone.now)

    @property
    def answered(self) -> bool:
        return self.status in (NodeStatus.ONLINE, NodeStatus.DEGRADED)


def access_of(node: Node) -> Access:
    return unseal(node.sealed, node.ca, node.client_certificate)


def api(node: Node) -> ollama.Node:
    """The node as deployments.ollama speaks to it. Raises OllamaError when it cannot be reached."""
    try:
        return ollama.Node(node.url, access_of(node))
    except Unsealable as error:
        raise ollama.Unreachable(error.text) from error


def ask(url: str, access: Access = PLAIN) -> Report:
    """Ask a node for its version, what it stores and has loaded. Never raises for a bad node."""
    asked_at = timezone.now()
    try:
        checked_url(url)
        node = ollama.Node(url, access)
        version, house, tags, loaded = node.version(), node.house(), node.tags(), node.loaded()
        known = set(
            Model.objects.filter(digest__in=[t.digest for t in tags])
            .exclude(content="")
            .exclude(shape={})
            .values_list("digest", flat=True)
        )
        facts = {
            t.digest: node.show(t.name) for t in tags if _theirs(t.name) and t.digest not in known
        }
    except (ollama.OllamaError, Invalid) as error:
        return Report(NodeStatus.UNREACHABLE, error.text, asked_at=asked_at)
    return Report(
        NodeStatus.ONLINE, "", version, tags, loaded, facts, house=house, asked_at=asked_at
    )


def ask_again(node: Node, *, prove: bool = False) -> Report:
    """Ask a known node; with `prove` it must also answer a prompt with a model that is loaded."""
    try:
        access = access_of(node)
    except Unsealable as error:
        return Report(NodeStatus.UNREACHABLE, error.text)
    report = ask(node.url, access)
    changes: dict[str, Any] = {}
    if prove and report.answered:
        changes = _prove(node, access, report)
    if prove and node.exporter_url:
        changes["machine"] = exporter.read(node.exporter_url)
    found = {f: getattr(report, f) for f in Report.__dataclass_fields__}
    return Report(**{**found, **changes}) if changes else report


def _prove(node: Node, access: Access, report: Report) -> dict[str, Any]:
    """A port that answers proves nothing: a hung runner still says that it runs."""
    held = {m.name for m in report.loaded if pinned(asdict(m))}
    ready = node.replicas.filter(state=ReplicaState.READY, revision__deployment__keep=Keep.ALWAYS)
    tags = [r.revision.tag for r in ready.select_related("revision__deployment")]
    tag = tags[0] if tags and any(name.startswith(OURS) for name in held) else None
    if tag is None:
        return {}
    try:
        proof = ollama.Node(node.url, access).probe(tag, PROOF, max_tokens=1, patience_s=PROOF_S)
    except ollama.OllamaError as error:
        return {
            "status": NodeStatus.DEGRADED,
            "problem": say(
                _("Ollama answers, but %(tag)s does not: %(reason)s"), tag=tag, reason=error.text
            ),
        }
    return {"proof_ms": proof.total_ms}


def _theirs(name: str) -> bool:
    """A model of theirs: neither a revision of ours nor one on its way from node to node."""
    return not name.startswith(OURS) and not name.endswith(PASSING)


def pinned(loaded: dict[str, Any]) -> bool:
    """Whether a model in memory stays there: its end is further away than any request sets it."""
    try:
        ends = datetime.fromisoformat(str(loaded.get("expires_at", "")))
    except ValueError:
        return False
    return ends > timezone.now() + timedelta(days=30)


def store(node: Node, report: Report) -> None:
    """Write what a node said; a change of its status is an event. Call inside a transaction.

    Lists that were asked for before those that are kept are not taken: what was made or deleted
    in between would be gone, or there again, until the next round.
    """
    now = timezone.now()
    before = node.status
    node.status, node.problem, node.checked_at = report.status, report.problem, now
    fields = ["status", "problem", "checked_at"]
    if report.machine:
        node.machine = report.machine
        fields.append("machine")
    if report.answered:
        node.version, node.seen_at = report.version, now
        fields += ["version", "seen_at"]
        if not _overtaken(node, report):
            fields += _store_lists(node, report)
    if report.proof_ms is not None:
        node.proof_ms, node.proved_at = report.proof_ms, now
        fields += ["proof_ms", "proved_at"]
    node.save(update_fields=fields)
    if before not in (report.status, NodeStatus.UNKNOWN):
        _status_changed(node, before, report)


def _overtaken(node: Node, report: Report) -> bool:
    """Whether newer lists are kept. A time ahead of this clock says nothing: it was set back."""
    kept = node.listed_at
    return kept is not None and report.asked_at < kept <= timezone.now()


def _store_lists(node: Node, report: Report) -> list[str]:
    node.listed_at = report.asked_at
    node.loaded = [asdict(m) for m in report.loaded]
    node.tags = {t.name: t.digest for t in report.tags if t.name.startswith(OURS)}
    _store_models(node, report)
    foreign = attest.compare(node, report.asked_at)
    alarms = attest.raise_alarms(node, report.house, foreign)
    return ["listed_at", "loaded", "tags", *alarms]


def _status_changed(node: Node, before: str, report: Report) -> None:
    log.record(
        FLEET,
        Act.NODE_STATUS,
        node.as_obj(),
        outcome="success" if report.status == NodeStatus.ONLINE else "failure",
        reason=english(report.problem),
        changes=[Change("status", before, report.status)],
    )
    if report.status == NodeStatus.ONLINE:
        wake.reconcile_after_commit()


def check(node: Node, *, prove: bool = False) -> Node | None:
    """Ask one node and store the answer; what the beat does every few seconds."""
    report = ask_again(node, prove=prove)
    with transaction.atomic():
        locked = Node.objects.select_for_update().filter(pk=node.pk).first()
        if locked is not None:
            store(locked, report)
            if prove:
                _remember(locked, report)
    return locked


def _remember(node: Node, report: Report) -> None:
    """A line of the node's history; what is older than a day is forgotten."""
    NodeCheck.objects.create(
        node=node, status=report.status, proof_ms=report.proof_ms, memory=node.memory_bytes
    )
    NodeCheck.objects.filter(node=node, at__lt=timezone.now() - HISTORY).delete()


def _store_models(node: Node, report: Report) -> None:
    """The catalogue. Models that somebody else would answer for are not entered: only an alarm."""
    remote = set(report.house.remote) if report.house else set()
    tags = [t for t in report.tags if _theirs(t.name) and t.name not in remote]
    for tag in tags:
        facts = report.facts.get(tag.digest)
        model, _created = Model.objects.get_or_create(
            digest=tag.digest, defaults=_model_fields(tag, facts)
        )
        if facts is not None and not (model.content and model.shape):
            model.content, model.shape = facts.content, _shape(facts)
            model.adapter = facts.adapter
            model.save(update_fields=["content", "shape", "adapter"])
        StoredModel.objects.update_or_create(
            node=node, tag=tag.name, defaults={"model": model, "seen_at": timezone.now()}
        )
    StoredModel.objects.filter(node=node).exclude(tag__in=[t.name for t in tags]).delete()
    Model.objects.filter(stored=None, revisions=None).delete()


def _shape(facts: ollama.Facts) -> dict[str, Any]:
    """As stored; what has no shape says so, and is not asked for it every time."""
    return facts.shape.as_json() if facts.shape else {"unknown": True}


def _model_fields(tag: ollama.Tag, facts: ollama.Facts | None) -> dict[str, object]:
    fields: dict[str, object] = {
        "name": tag.name.removesuffix(":latest"),
        "family": tag.family[:64],
        "parameter_size": tag.parameter_size[:32],
        "quantization": tag.quantization[:32],
        "size_bytes": tag.size,
    }
    if facts is not None:
        fields |= {
            "context_length": facts.context_length,
            "capabilities": facts.capabilities,
            "licence": facts.licence[:100_000],
            "content": facts.content,
            "adapter": facts.adapter,
            "shape": _shape(facts),
        }
    return fields
