"""Nodes, models, deployments with their revisions and replicas, and operations. Truth lives here:
Celery only wakes what these rows say should happen."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _

from access.models import User
from audit.ledger.event import Obj
from deployments.observed import GatewayReport, NodeCheck
from deployments.wishes import Duty, Keep, Strategy, Wanted

__all__ = ["GatewayReport", "NodeCheck"]


class NodeStatus(models.TextChoices):
    UNKNOWN = "unknown", _("Not yet asked")
    ONLINE = "online", _("Online")
    DEGRADED = "degraded", _("Degraded")
    UNREACHABLE = "unreachable", _("Unreachable")


class Node(models.Model):
    """A machine that runs Ollama. What it said last is kept here: no page ever waits for a node.

    `loaded` is the node's own list of models in memory: name, size (bytes), size_vram, expires_at.
    `tags` are those it holds in our namespace, with their digests; `house` what it says of clouds;
    `alarms` what a person must look at; `machine` what its exporter said last.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=63)
    url = models.URLField(_("address"), max_length=300, unique=True)
    status = models.CharField(max_length=16, choices=NodeStatus, default=NodeStatus.UNKNOWN)
    problem = models.TextField(blank=True)
    version = models.CharField(max_length=64, blank=True)
    loaded = models.JSONField(default=list)
    tags = models.JSONField(default=dict)
    labels = models.JSONField(_("labels"), default=list)
    duty = models.CharField(max_length=16, choices=Duty, default=Duty.OPEN)
    house = models.JSONField(default=dict)
    alarms = models.JSONField(default=list)
    memory_declared = models.BigIntegerField(_("memory for models"), null=True)
    exporter_url = models.CharField(_("metrics"), max_length=300, blank=True)
    machine = models.JSONField(default=dict)
    ca = models.TextField(blank=True)
    client_certificate = models.TextField(blank=True)
    sealed = models.TextField(blank=True)
    proof_ms = models.PositiveIntegerField(null=True)
    proved_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name",)
        constraints = [models.UniqueConstraint(Lower("name"), name="node_name_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def memory_bytes(self) -> int:
        return sum(int(m.get("size", 0)) for m in self.loaded)

    @property
    def capacity_bytes(self) -> int | None:
        """What it can hold: as its exporter says, else as somebody declared."""
        return self.machine.get("memory_total") or self.memory_declared

    @property
    def memory_percent(self) -> int | None:
        total = self.capacity_bytes
        return min(100, self.memory_bytes * 100 // total) if total else None

    def as_obj(self) -> Obj:
        return Obj("node", str(self.pk), self.name)


class Model(models.Model):
    """An artifact by digest, wherever it is stored. `digest` is the node's manifest digest, hex."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=255)
    family = models.CharField(max_length=64, blank=True)
    parameter_size = models.CharField(max_length=32, blank=True)
    quantization = models.CharField(max_length=32, blank=True)
    size_bytes = models.BigIntegerField(default=0)
    context_length = models.PositiveIntegerField(null=True)
    capabilities = models.JSONField(default=list)
    licence = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def short_digest(self) -> str:
        return self.digest[:12]

    def as_obj(self) -> Obj:
        return Obj("model", self.digest, self.name)


class StoredModel(models.Model):
    """A model on a node, under the tag that the node knows it by."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="stored")
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="stored")
    tag = models.CharField(max_length=255)
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("tag",)
        constraints = [models.UniqueConstraint(fields=["node", "tag"], name="stored_tag_once")]

    def __str__(self) -> str:
        return self.tag


class DeploymentState(models.TextChoices):
    STARTING = "starting", _("Starting")
    LIVE = "live", _("Live")
    STOPPING = "stopping", _("Stopping")
    STOPPED = "stopped", _("Stopped")
    FAILED = "failed", _("Failed")
    DELETING = "deleting", _("Being deleted")
    DELETED = "deleted", _("Deleted")


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    def present(self) -> DeploymentQuerySet:
        return self.exclude(state=DeploymentState.DELETED)

    def live(self) -> DeploymentQuerySet:
        return self.filter(state=DeploymentState.LIVE)


class Deployment(models.Model):
    """A named, governed endpoint. Its name is the `model` that clients ask for and never changes;
    a deleted one keeps its row, so that its history can be read.

    `current` serves; `target` is wished for (the same once a rollout has ended); `previous` is the
    way back; `setback` says why the last rollout was taken back. `version` counts the wishes:
    whoever changes one says which they saw.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=63)
    description = models.CharField(_("description"), max_length=300, blank=True)
    state = models.CharField(
        max_length=16, choices=DeploymentState, default=DeploymentState.STARTING
    )
    problem = models.TextField(blank=True)
    setback = models.TextField(blank=True)
    current = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+")
    target = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+")
    previous = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+")
    wanted = models.CharField(max_length=8, choices=Wanted, default=Wanted.ON)
    version = models.PositiveIntegerField(default=1)
    replicas_wanted = models.PositiveSmallIntegerField(_("replicas"), null=True, default=1)
    labels = models.JSONField(_("labels"), default=list)
    nodes = models.ManyToManyField(Node, related_name="placed")
    strategy = models.CharField(max_length=16, choices=Strategy, default=Strategy.TOGETHER)
    keep = models.CharField(max_length=16, choices=Keep, default=Keep.ALWAYS)
    timetable = models.JSONField(default=list)
    settled_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    live_at = models.DateTimeField(null=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=~Q(state="deleted"), name="deployment_name_once"
            ),
            models.CheckConstraint(
                condition=Q(state__in=DeploymentState.values), name="deployment_state_known"
            ),
            models.CheckConstraint(
                condition=Q(wanted__in=Wanted.values), name="deployment_wanted_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def can_start(self) -> bool:
        return self.state in (DeploymentState.STOPPED, DeploymentState.FAILED)

    @property
    def can_stop(self) -> bool:
        return self.state == DeploymentState.LIVE

    @property
    def can_delete(self) -> bool:
        return self.state in (
            DeploymentState.LIVE,
            DeploymentState.STOPPED,
            DeploymentState.FAILED,
        )

    @property
    def is_rolling_out(self) -> bool:
        return self.wanted == Wanted.ON and self.target_id != self.current_id

    @property
    def can_change(self) -> bool:
        return self.wanted != Wanted.GONE and self.state != DeploymentState.STOPPING

    @property
    def can_roll_back(self) -> bool:
        return self.can_change and (self.is_rolling_out or self.previous_id is not None)

    @property
    def is_moving(self) -> bool:
        return self.is_rolling_out or self.state in (
            DeploymentState.STARTING,
            DeploymentState.STOPPING,
            DeploymentState.DELETING,
        )

    def as_obj(self) -> Obj:
        return Obj("deployment", str(self.pk), self.name)


class Revision(models.Model):
    """An immutable recipe of a deployment: model, system prompt, parameters, template, schema.

    A trigger holds that no row of it is ever changed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="revisions")
    system_prompt = models.TextField(_("system prompt"), blank=True)
    parameters = models.JSONField(_("parameters"), default=dict)
    template = models.TextField(_("template"), blank=True)
    schema = models.JSONField(_("JSON schema"), null=True)
    note = models.CharField(_("note"), max_length=300, blank=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.UniqueConstraint(fields=["deployment", "number"], name="revision_number_once")
        ]

    def __str__(self) -> str:
        return self.tag

    @property
    def tag(self) -> str:
        """The tag that materialises this revision on a node."""
        return f"fusebox/{self.deployment.name}:r{self.number}"


class ReplicaState(models.TextChoices):
    PENDING = "pending", _("Pending")
    STANDBY = "standby", _("Made, not yet open")
    READY = "ready", _("Ready")
    DRAINING = "draining", _("Draining")
    STOPPED = "stopped", _("Stopped")
    FAILED = "failed", _("Failed")
    FOREIGN = "foreign", _("Changed on the node")


class Replica(models.Model):
    """One revision on one node. `digest` attests what the node holds under the revision's tag.

    The row is there before the tag is made and until it is removed: no tag of ours without a row.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="replicas")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="replicas")
    state = models.CharField(max_length=16, choices=ReplicaState, default=ReplicaState.PENDING)
    digest = models.CharField(max_length=64, blank=True)
    problem = models.TextField(blank=True)
    probe = models.JSONField(default=dict)
    tries = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)
    attested_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["revision", "node"], name="replica_once_a_node")
        ]

    def __str__(self) -> str:
        return f"{self.revision_id} on {self.node_id}"


class OperationKind(models.TextChoices):
    DEPLOY = "deploy", _("Switch on")
    ROLL_OUT = "rollout", _("Roll out")
    REPAIR = "repair", _("Bring to the wanted state")
    STOP = "stop", _("Stop")
    DELETE = "delete", _("Delete")
    IMPORT = "import", _("Import model")
    PULL = "pull", _("Pull model")


class OperationState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


CAN_CANCEL = (
    OperationKind.DEPLOY,
    OperationKind.ROLL_OUT,
    OperationKind.IMPORT,
    OperationKind.PULL,
)
FINAL = (OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED)


class Operation(models.Model):
    """A long piece of work. A worker holds it by a lease that it renews; a lease that ran out
    means the worker is gone and another may take it up. `log` is a list of {at, step, text}."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=OperationKind)
    state = models.CharField(max_length=16, choices=OperationState, default=OperationState.QUEUED)
    deployment = models.ForeignKey(
        Deployment, null=True, on_delete=models.CASCADE, related_name="operations"
    )
    revision = models.ForeignKey(Revision, null=True, on_delete=models.CASCADE, related_name="+")
    node = models.ForeignKey(Node, null=True, on_delete=models.SET_NULL, related_name="operations")
    subject = models.CharField(max_length=255)
    arguments = models.JSONField(default=dict)
    step = models.CharField(max_length=32, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    log = models.JSONField(default=list)
    problem = models.TextField(blank=True)
    attempt = models.PositiveIntegerField(default=0)
    worker = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    requested_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    requester = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = [
            models.UniqueConstraint(
                fields=["deployment"],
                condition=Q(state__in=["queued", "running"]),
                name="one_operation_at_a_time",
            )
        ]
        indexes = [models.Index(fields=["state", "created_at"], name="operation_by_state")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def can_cancel(self) -> bool:
        """What is short or ends in a clean state anyhow is not cancelled."""
        return not self.is_final and self.cancel_requested_at is None and self.kind in CAN_CANCEL

    @property
    def can_retry(self) -> bool:
        return self.state in (OperationState.FAILED, OperationState.CANCELLED)

    @property
    def percent(self) -> int | None:
        return min(100, self.done * 100 // self.total) if self.total else None

    def as_obj(self) -> Obj:
        return Obj("operation", str(self.pk), f"{self.kind} {self.subject}")
