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
from deployments.shelf import Answered, Approval, Upload, UploadedFile, UploadState

__all__ = [
    "FINAL",
    "LOCAL",
    "TRANSFERS",
    "Answered",
    "Approval",
    "Deployment",
    "DeploymentQuerySet",
    "DeploymentState",
    "Model",
    "Node",
    "NodeStatus",
    "Operation",
    "OperationKind",
    "OperationState",
    "Replica",
    "ReplicaState",
    "Revision",
    "StoredModel",
    "Upload",
    "UploadState",
    "UploadedFile",
]


class NodeStatus(models.TextChoices):
    UNKNOWN = "unknown", _("Not yet asked")
    ONLINE = "online", _("Online")
    UNREACHABLE = "unreachable", _("Unreachable")


class Node(models.Model):
    """A machine that runs Ollama. What it said last is kept here: no page ever waits for a node.

    `loaded` is the node's own list of models in memory: name, size (bytes), size_vram, expires_at.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=63)
    url = models.URLField(_("address"), max_length=300, unique=True)
    status = models.CharField(max_length=16, choices=NodeStatus, default=NodeStatus.UNKNOWN)
    problem = models.TextField(blank=True)
    version = models.CharField(max_length=64, blank=True)
    loaded = models.JSONField(default=list)
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
        return f"{self.tag} on {self.node_id}"


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
    a deleted one keeps its row, so that its history can be read."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=63)
    description = models.CharField(_("description"), max_length=300, blank=True)
    state = models.CharField(
        max_length=16, choices=DeploymentState, default=DeploymentState.STARTING
    )
    problem = models.TextField(blank=True)
    current = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+")
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
    def is_moving(self) -> bool:
        return self.state in (
            DeploymentState.STARTING,
            DeploymentState.STOPPING,
            DeploymentState.DELETING,
        )

    def as_obj(self) -> Obj:
        return Obj("deployment", str(self.pk), self.name)


class Revision(models.Model):
    """An immutable recipe of a deployment: model, system prompt, parameters."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="revisions")
    system_prompt = models.TextField(_("system prompt"), blank=True)
    parameters = models.JSONField(_("parameters"), default=dict)
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
    READY = "ready", _("Ready")
    STOPPED = "stopped", _("Stopped")
    FAILED = "failed", _("Failed")


class Replica(models.Model):
    """One revision on one node. `digest` attests what the node holds under the revision's tag."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="replicas")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="replicas")
    state = models.CharField(max_length=16, choices=ReplicaState, default=ReplicaState.PENDING)
    digest = models.CharField(max_length=64, blank=True)
    problem = models.TextField(blank=True)
    probe = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["revision", "node"], name="replica_once_a_node")
        ]

    def __str__(self) -> str:
        return f"{self.revision_id} on {self.node_id}"


class OperationKind(models.TextChoices):
    DEPLOY = "deploy", _("Switch on")
    STOP = "stop", _("Stop")
    DELETE = "delete", _("Delete")
    IMPORT = "import", _("Import model")
    PULL = "pull", _("Pull model")
    COPY = "copy", _("Copy model")
    EXPORT = "export", _("Write bundle")
    UNPACK = "unpack", _("Read bundle")


# What moves a model to a node: these wait for one another there (deployments.lease).
TRANSFERS = (
    OperationKind.IMPORT,
    OperationKind.PULL,
    OperationKind.COPY,
    OperationKind.UNPACK,
)
# What reads or writes a file of the machine where somebody gave the command: it runs there.
LOCAL = (OperationKind.EXPORT, OperationKind.UNPACK)


class OperationState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


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
    rate = models.BigIntegerField(default=0)
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
        """Stopping and deleting are short and end in a clean state; they are not cancelled."""
        return (
            not self.is_final
            and self.cancel_requested_at is None
            and self.kind not in (OperationKind.STOP, OperationKind.DELETE)
        )

    @property
    def can_retry(self) -> bool:
        ended = self.state in (OperationState.FAILED, OperationState.CANCELLED)
        return ended and self.kind not in LOCAL

    @property
    def is_stopping(self) -> bool:
        return not self.is_final and self.cancel_requested_at is not None

    @property
    def waits_for_turn(self) -> bool:
        """Its node has others to take first."""
        waits = self.kind in TRANSFERS and self.state == OperationState.QUEUED
        return waits and not self.cancel_requested_at and self.ahead > 0

    @property
    def ahead(self) -> int:
        """Transfers to the same node that run or were asked for before this one."""
        before = Q(state=OperationState.RUNNING) | Q(
            state=OperationState.QUEUED, created_at__lt=self.created_at, cancel_requested_at=None
        )
        rows = Operation.objects.filter(before, node=self.node_id, kind__in=TRANSFERS)
        return rows.exclude(pk=self.pk).count()

    @property
    def percent(self) -> int | None:
        return min(100, self.done * 100 // self.total) if self.total else None

    @property
    def seconds_left(self) -> int | None:
        """At the rate of the last seconds; None while nothing moves."""
        left = self.total - self.done
        return -(-left // self.rate) if self.rate > 0 and left > 0 else None

    def as_obj(self) -> Obj:
        return Obj("operation", str(self.pk), f"{self.kind} {self.subject}")
