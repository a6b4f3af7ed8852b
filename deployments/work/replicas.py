"""What is done to one revision on one node: make and prove it, load it, let it rest, remove it.

Every step may be run twice. Called by deployments.work.deployments with a lease.
"""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from datetime import datetime, timedelta

import jsonschema
import orjson
from django.db import connection
from django.db.models import DateTimeField, Func
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from access.said import Text, quote, say
from deployments import fleet, ollama, scenarios, schemas
from deployments.lease import Lease
from deployments.look import shared_tags
from deployments.models import Deployment, GatewayReport, Node, Replica, ReplicaState, Revision
from deployments.work.models import asked

PROBE = "Answer with one short sentence: what is the capital of France?"
PROBE_JSON_TOKENS = 400
UNLOAD_S = 30.0
# A gateway that said nothing for longer admits nothing: its routes are too old (gateway.directory).
GATEWAY_SILENT_S = 8.0
DRAIN_S = 600.0
LATER = say(_("Answers are still under way; the node unloads it after them."))
CLOCK = Func(function="clock_timestamp", output_field=DateTimeField())


def make(lease: Lease, node: Node, revision: Revision, *, keep: bool) -> None:
    """Make the tag, attest it, load it and have it answer. The route stays as it is."""
    replica, _new = Replica.objects.get_or_create(revision=revision, node=node)
    if replica.state != ReplicaState.PENDING:
        _write(lease, replica, state=ReplicaState.PENDING)
    api = fleet.api(node)
    lease.step("check", asked(api))
    held = api.digest_of(revision.tag)
    if held is None or held != replica.digest:
        held = _create(lease, api, node, revision)
        _write(lease, replica, digest=held, attested_at=timezone.now())
    lease.note(f"{node.name}: {revision.tag} sha256:{held}")
    lease.step("load", node.name)
    lease.call(lambda: api.load(revision.tag, keep=keep))
    probe = _probe(lease, api, revision)
    _write(
        lease,
        replica,
        state=ReplicaState.STANDBY,
        attested_at=timezone.now(),
        problem="",
        tries=0,
        retry_at=None,
        probe=asdict(probe),
    )


def _create(lease: Lease, api: ollama.Node, node: Node, revision: Revision) -> str:
    base = _base_tag(api, node, revision)
    lease.step("create", say(_("%(tag)s from %(node)s"), tag=revision.tag, node=base))
    lease.call(
        lambda: api.create_from(
            revision.tag,
            base,
            system=revision.system_prompt,
            parameters=revision.parameters,
            template=revision.template,
        )
    )
    digest = api.digest_of(revision.tag)
    if digest is None:
        raise ollama.BadReply(
            say(_("The node made %(tag)s, but does not list it."), tag=revision.tag)
        )
    return digest


def _probe(lease: Lease, api: ollama.Node, revision: Revision) -> ollama.Probe:
    """A real answer to a real prompt of its scenario, of the shape that the revision promises."""
    prompt = scenarios.probe(revision.scenario, revision.system_prompt) or PROBE
    lease.step("probe", quote(prompt[:200]))
    schema = revision.schema
    tokens = PROBE_JSON_TOKENS if schema else 32
    probe = lease.call(lambda: api.probe(revision.tag, prompt, max_tokens=tokens, schema=schema))
    if schema is not None and (problem := shape_problem(probe.text, schema)):
        raise ollama.BadReply(
            say(_("Its answer is not of the schema's shape: %(problem)s"), problem=problem)
        )
    if schema is None and not is_language(probe.text):
        raise ollama.BadReply(
            say(
                _("The model loaded, but its answer is no language: %(answer)s"),
                answer=quote(probe.text[:60]),
            )
        )
    lease.note(
        say(
            _("%(answer)s (%(tokens)d tokens, %(ms)d ms)"),
            answer=quote(probe.text),
            tokens=probe.tokens,
            ms=probe.total_ms,
        )
    )
    return probe


def is_language(text: str) -> bool:
    """Whether an answer has words: letters, and more than one of them repeated."""
    letters = re.findall(r"[^\W\d_]", text)
    return len(set(letters)) > 1


def shape_problem(text: str, schema: dict[str, object]) -> Text:
    """Why an answer is not what the schema asks for; empty when it is."""
    try:
        schemas.check(orjson.loads(text), schema)
    except orjson.JSONDecodeError:
        return say(_("no JSON: %(answer)s"), answer=quote(text[:60]))
    except jsonschema.ValidationError as error:
        return quote(str(error.message)[:200])
    return ""


def pin(lease: Lease, node: Node, revision: Revision, *, load: bool) -> None:
    """Load it and keep it, or let it go."""
    api = fleet.api(node)
    lease.step("load" if load else "unload", f"{node.name}: {revision.tag}")
    if load:
        lease.call(lambda: api.load(revision.tag))
    else:
        api.unload(revision.tag)
        _wait_until_out_of_memory(lease, api, revision.tag)


def rest(lease: Lease, node: Node, revision: Revision, deployment: Deployment) -> None:
    """Wait until no gateway has a request under way on it, then take it out of memory."""
    replica = Replica.objects.filter(revision=revision, node=node).first()
    if replica is None:
        return
    lease.step("drain", f"{node.name}: {revision.tag}")
    if not _drained(lease, replica, deployment):
        return
    api = fleet.api(node)
    lease.step("unload", f"{node.name}: {revision.tag}")
    if not _shares_memory(replica):
        try:
            api.unload(revision.tag)
        except ollama.ModelMissing:
            lease.note(say(_("It was not there any more.")))
        _wait_until_out_of_memory(lease, api, revision.tag)
    _write(lease, replica, state=ReplicaState.STOPPED)


def remove(lease: Lease, node: Node, revision: Revision) -> None:
    """Unload and remove the tag, then the row: never the other way round."""
    api = fleet.api(node)
    lease.step("remove", f"{node.name}: {revision.tag}")
    replica = Replica.objects.filter(revision=revision, node=node).first()
    if replica is None or not _shares_memory(replica):
        try:
            api.unload(revision.tag)
        except ollama.Refused as error:
            lease.note(say(_("%(node)s: %(reason)s"), node=revision.tag, reason=error.text))
    if api.delete(revision.tag):
        lease.note(revision.tag)
    lease.write(step="remove")
    Replica.objects.filter(revision=revision, node=node).delete()


def _shares_memory(replica: Replica) -> bool:
    """Whether another revision that serves on this node is made of the same weights: the node has
    them in memory once, and taking out one would take out both."""
    tags = shared_tags(replica)
    serving = Replica.objects.filter(
        node=replica.node_id, state__in=[ReplicaState.READY, ReplicaState.STANDBY]
    ).exclude(pk=replica.pk)
    return any(r.revision.tag in tags for r in serving.select_related("revision__deployment"))


def _drained(lease: Lease, replica: Replica, deployment: Deployment) -> bool:
    """False when the wish changed meanwhile, so that what matters more comes first."""
    if replica.closed_at is None:
        # After the commit that closed the route, so that whoever read its rows later knows of it.
        Replica.objects.filter(pk=replica.pk).update(closed_at=CLOCK)
        replica.refresh_from_db(fields=["closed_at"])
    closed_at = replica.closed_at or timezone.now()
    deadline = time.monotonic() + DRAIN_S
    told = 0
    while (busy := under_way(str(replica.pk), closed_at)) is None or busy:
        lease.check()
        if time.monotonic() > deadline:
            lease.note(LATER)
            return True
        if busy and busy != told:
            told = busy
            lease.note(say(_("%(number)d under way"), number=busy))
        if not Deployment.objects.filter(pk=deployment.pk, version=deployment.version).exists():
            return False
        time.sleep(0.2)
    return True


def under_way(replica: str, closed_at: datetime) -> int | None:
    """Requests under way on a replica, by what every gateway says; None: one may not know yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    reports = GatewayReport.objects.filter(seen_at__gt=now - timedelta(seconds=GATEWAY_SILENT_S))
    if any(report.loaded_at <= closed_at for report in reports):
        return None
    return sum(int(report.in_flight.get(replica, 0)) for report in reports)


def _wait_until_out_of_memory(lease: Lease, api: ollama.Node, tag: str) -> None:
    """The node says yes at once and unloads when the answers under way have ended."""
    deadline = time.monotonic() + UNLOAD_S
    while tag in {loaded.name for loaded in api.loaded()}:
        lease.check()
        if time.monotonic() > deadline:
            lease.note(LATER)
            return
        time.sleep(0.2)


def _base_tag(api: ollama.Node, node: Node, revision: Revision) -> str:
    """The tag under which this node holds the revision's model, by what the node says now."""
    digests = {revision.model.digest}
    if revision.model.content:
        same = node.stored.filter(model__content=revision.model.content)
        digests |= set(same.values_list("model__digest", flat=True))
    for tag in api.tags():
        if tag.digest in digests and not tag.name.startswith(fleet.OURS):
            return tag.name
    raise ollama.ModelMissing(
        say(_("%(model)s is no longer stored on this node."), model=revision.model.name)
    )


def _write(lease: Lease, replica: Replica, **fields: object) -> None:
    """Write to the replica's row while the lease is ours."""
    lease.write(step=lease.operation.step)
    for name, value in fields.items():
        setattr(replica, name, value)
    replica.save(update_fields=list(fields))
