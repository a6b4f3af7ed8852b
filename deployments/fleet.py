"""What nodes say of themselves: asked outside a transaction, stored inside one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from django.db import transaction
from django.utils import timezone

from access.errors import Invalid
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Change
from deployments import ollama
from deployments.addresses import checked_url
from deployments.models import Model, Node, NodeStatus, StoredModel

OURS = "fusebox/"


@dataclass(frozen=True, slots=True)
class Report:
    """One round of questions to one node. `problem` is fit to be shown; empty when online."""

    status: NodeStatus
    problem: str = ""
    version: str = ""
    tags: list[ollama.Tag] = field(default_factory=list)
    loaded: list[ollama.Loaded] = field(default_factory=list)
    facts: dict[str, ollama.Facts] = field(default_factory=dict)


def ask(url: str) -> Report:
    """Ask a node for its version, what it stores and has loaded. Never raises for a bad node."""
    try:
        checked_url(url)
        node = ollama.Node(url)
        version, tags, loaded = node.version(), node.tags(), node.loaded()
        known = set(
            Model.objects.filter(digest__in=[t.digest for t in tags]).values_list(
                "digest", flat=True
            )
        )
        facts = {
            t.digest: node.show(t.name)
            for t in tags
            if not t.name.startswith(OURS) and t.digest not in known
        }
    except ollama.OllamaError as error:
        return Report(NodeStatus.UNREACHABLE, str(error))
    except Invalid as error:
        return Report(NodeStatus.UNREACHABLE, str(error))
    return Report(NodeStatus.ONLINE, "", version, tags, loaded, facts)


def store(node: Node, report: Report) -> None:
    """Write what a node said; a change of its status is an event. Call inside a transaction."""
    now = timezone.now()
    before = node.status
    node.status, node.problem, node.checked_at = report.status, report.problem, now
    fields = ["status", "problem", "checked_at"]
    if report.status == NodeStatus.ONLINE:
        node.version, node.seen_at = report.version, now
        node.loaded = [asdict(m) for m in report.loaded]
        fields += ["version", "seen_at", "loaded"]
        _store_models(node, report)
    node.save(update_fields=fields)
    if before not in (report.status, NodeStatus.UNKNOWN):
        log.record(
            Actor.system("fleet"),
            Act.NODE_STATUS,
            node.as_obj(),
            outcome="success" if report.status == NodeStatus.ONLINE else "failure",
            reason=report.problem,
            changes=[Change("status", before, report.status)],
        )


def check(node: Node) -> Node | None:
    """Ask one node and store the answer; what the beat does every few seconds."""
    report = ask(node.url)
    with transaction.atomic():
        locked = Node.objects.select_for_update().filter(pk=node.pk).first()
        if locked is not None:
            store(locked, report)
    return locked


def _store_models(node: Node, report: Report) -> None:
    tags = [t for t in report.tags if not t.name.startswith(OURS)]
    for tag in tags:
        model, _created = Model.objects.get_or_create(
            digest=tag.digest, defaults=_model_fields(tag, report.facts.get(tag.digest))
        )
        StoredModel.objects.update_or_create(
            node=node, tag=tag.name, defaults={"model": model, "seen_at": timezone.now()}
        )
    StoredModel.objects.filter(node=node).exclude(tag__in=[t.name for t in tags]).delete()
    Model.objects.filter(stored=None, revisions=None).delete()


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
        }
    return fields
