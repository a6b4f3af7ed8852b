"""Deployments, their revisions, and the replicas of these on nodes.

Loaded by deployments.models; whoever needs them imports them from there.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from access.models import User
from access.said import SaidField
from audit.ledger.event import Obj
from deployments.wishes import Keep, Strategy, Wanted


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

    def with_revisions(self) -> DeploymentQuerySet:
        """With what serves, what is wished for and the way back, and their models."""
        return self.select_related("target__model", "current__model", "previous__model")


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
    problem = SaidField(default=str)
    setback = SaidField(default=str)
    current = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+")
    target = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+")
    previous = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+")
    wanted = models.CharField(max_length=8, choices=Wanted, default=Wanted.ON)
    version = models.PositiveIntegerField(default=1)
    replicas_wanted = models.PositiveSmallIntegerField(_("replicas"), null=True, default=1)
    labels = models.JSONField(_("labels"), default=list)
    nodes = models.ManyToManyField("deployments.Node", related_name="placed")
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
        calls_off = self.is_rolling_out and self.current_id is not None
        return self.can_change and (calls_off or self.previous_id is not None)

    @property
    def serving_nodes(self) -> list[str]:
        """Names of the nodes that serve it, with the revision; of rows that were fetched."""
        return [
            f"{replica.node.name} (r{revision.number})"
            for revision in self.revisions.all()
            for replica in revision.replicas.all()
            if replica.state == ReplicaState.READY
        ]

    @property
    def is_moving(self) -> bool:
        return self.is_rolling_out or self.state in (
            DeploymentState.STARTING,
            DeploymentState.STOPPING,
            DeploymentState.DELETING,
        )

    def unblock(self) -> None:
        """What failed may be tried again: somebody asked for it."""
        Replica.objects.filter(revision__deployment=self, state=ReplicaState.FAILED).update(
            state=ReplicaState.PENDING, problem="", tries=0, retry_at=None
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
    model = models.ForeignKey(
        "deployments.Model", on_delete=models.PROTECT, related_name="revisions"
    )
    system_prompt = models.TextField(_("system prompt"), blank=True)
    parameters = models.JSONField(_("parameters"), default=dict)
    template = models.TextField(_("template"), blank=True)
    schema = models.JSONField(_("JSON schema"), null=True)
    scenario = models.CharField(_("scenario"), max_length=63, blank=True)
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
    node = models.ForeignKey("deployments.Node", on_delete=models.PROTECT, related_name="replicas")
    state = models.CharField(max_length=16, choices=ReplicaState, default=ReplicaState.PENDING)
    digest = models.CharField(max_length=64, blank=True)
    problem = SaidField(default=str)
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
