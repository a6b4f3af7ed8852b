"""Nodes, models, operations; deployments are in deployments.served. Truth lives here:
Celery only wakes what these rows say should happen."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _

from access.models import User
from access.said import SaidField, Text, from_json
from audit.ledger.event import Obj
from deployments.observed import GatewayReport, NodeCheck
from deployments.served import (
    Deployment,
    DeploymentQuerySet,
    DeploymentState,
    Replica,
    ReplicaState,
    Revision,
)
from deployments.shelf import Answered, Approval, Upload, UploadedFile, UploadState
from deployments.tried import Evaluation, EvaluationKind, OwnSample
from deployments.wishes import Duty

__all__ = [
    "FINAL",
    "LOCAL",
    "TRANSFERS",
    "UNDER_WAY",
    "Answered",
    "Approval",
    "Deployment",
    "DeploymentQuerySet",
    "DeploymentState",
    "Evaluation",
    "EvaluationKind",
    "GatewayReport",
    "Model",
    "Node",
    "NodeCheck",
    "NodeStatus",
    "Operation",
    "OperationKind",
    "OperationState",
    "OwnSample",
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
    DEGRADED = "degraded", _("Degraded")
    UNREACHABLE = "unreachable", _("Unreachable")


class Node(models.Model):
    """A machine that runs Ollama. What it said last is kept here: no page ever waits for a node.

    `loaded` is the node's own list of models in memory: name, size (bytes), size_vram, expires_at.
    `tags` are those it holds in our namespace, with their digests; `house` what it says of clouds;
    `machine` what its exporter said last; `request_log_off` that somebody looked: its Ollama writes
    no requests to disk, which no answer of it tells; `server` how somebody said that it is set
    (deployments.wishes.valid_server); `listed_at` when it was asked for what is kept of its lists.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=63)
    url = models.URLField(_("address"), max_length=300, unique=True)
    status = models.CharField(max_length=16, choices=NodeStatus, default=NodeStatus.UNKNOWN)
    problem = SaidField(default=str)
    version = models.CharField(max_length=64, blank=True)
    loaded = models.JSONField(default=list)
    tags = models.JSONField(default=dict)
    labels = models.JSONField(_("labels"), default=list)
    duty = models.CharField(max_length=16, choices=Duty, default=Duty.OPEN)
    house = models.JSONField(default=dict)
    memory_declared = models.BigIntegerField(_("memory for models"), null=True)
    exporter_url = models.CharField(_("metrics"), max_length=300, blank=True)
    machine = models.JSONField(default=dict)
    request_log_off = models.BooleanField(default=False)
    server = models.JSONField(default=dict)
    ca = models.TextField(blank=True)
    client_certificate = models.TextField(blank=True)
    sealed = models.TextField(blank=True)
    proof_ms = models.PositiveIntegerField(null=True)
    proved_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    listed_at = models.DateTimeField(null=True)
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
    def machine_problem(self) -> Text:
        """Why there are no figures from its exporter."""
        return from_json(self.machine.get("problem", ""))  # type: ignore[no-any-return]

    @property
    def memory_percent(self) -> int | None:
        total = self.capacity_bytes
        return min(100, self.memory_bytes * 100 // total) if total else None

    def as_obj(self) -> Obj:
        return Obj("node", str(self.pk), self.name)


class Model(models.Model):
    """An artifact by digest, wherever it is stored. `digest` is the node's manifest digest, hex.

    A file imported on two nodes gets two manifest digests, because each names a path of its own;
    `content` is the same for both, and what a replica may be made of. `adapter`: the digest of the
    LoRA adapter that it is made with, if any. `shape`: deployments.fit.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64, unique=True)
    content = models.CharField(max_length=64, blank=True)
    adapter = models.CharField(max_length=64, blank=True)
    name = models.CharField(_("name"), max_length=255)
    family = models.CharField(max_length=64, blank=True)
    parameter_size = models.CharField(max_length=32, blank=True)
    quantization = models.CharField(max_length=32, blank=True)
    size_bytes = models.BigIntegerField(default=0)
    context_length = models.PositiveIntegerField(null=True)
    capabilities = models.JSONField(default=list)
    shape = models.JSONField(default=dict)
    licence = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def identity(self) -> str:
        return self.content or self.digest

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


class OperationKind(models.TextChoices):
    DEPLOY = "deploy", _("Switch on")
    ROLL_OUT = "rollout", _("Roll out")
    REPAIR = "repair", _("Bring to the wanted state")
    STOP = "stop", _("Stop")
    DELETE = "delete", _("Delete")
    IMPORT = "import", _("Import model")
    PULL = "pull", _("Pull model")
    COPY = "copy", _("Copy model")
    EXPORT = "export", _("Write bundle")
    UNPACK = "unpack", _("Read bundle")
    TRY = "try", _("Try the samples")


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


CAN_CANCEL = (
    OperationKind.DEPLOY,
    OperationKind.ROLL_OUT,
    OperationKind.EXPORT,
    OperationKind.TRY,
    *TRANSFERS,
)
UNDER_WAY = (OperationState.QUEUED, OperationState.RUNNING)
FINAL = (OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED)


class Operation(models.Model):
    """A long piece of work. A worker holds it by a lease that it renews; a lease that ran out
    means the worker is gone and another may take it up. `log` is a list of {at, step, text}, the
    text as access.said stores it;
    `result` what it found out, as its kind of work says."""

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
    result = models.JSONField(default=dict)
    step = models.CharField(max_length=32, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    rate = models.BigIntegerField(default=0)
    log = models.JSONField(default=list)
    problem = SaidField(default=str)
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
        ended = self.state in (OperationState.FAILED, OperationState.CANCELLED)
        return ended and self.kind not in LOCAL

    @property
    def is_stopping(self) -> bool:
        return not self.is_final and self.cancel_requested_at is not None

    @property
    def waits_for_turn(self) -> bool:
        """Others are to be taken first: at its node, or trials, of which one runs at a time."""
        waits = self.in_line is not None and self.state == OperationState.QUEUED
        return waits and not self.cancel_requested_at and self.ahead > 0

    @property
    def in_line(self) -> models.QuerySet[Operation] | None:
        """All that wait for one another with it; None when it waits for nobody."""
        if self.kind in TRANSFERS and self.node_id is not None:
            return Operation.objects.filter(node=self.node_id, kind__in=TRANSFERS)
        if self.kind == OperationKind.TRY:
            return Operation.objects.filter(kind=OperationKind.TRY)
        return None

    @property
    def ahead(self) -> int:
        """How many of its line run or were asked for before this one."""
        line = self.in_line
        if line is None:
            return 0
        before = Q(state=OperationState.RUNNING) | Q(
            state=OperationState.QUEUED, created_at__lt=self.created_at, cancel_requested_at=None
        )
        return line.filter(before).exclude(pk=self.pk).count()

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
