"""Deployments and their revisions as JSON: the same verbs as the pages."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy
from access.errors import Missing
from audit.ledger.acts import Act
from console.api.deployments import (
    ActsViewSet,
    ModelSerializer,
    OperationSerializer,
    SentenceField,
    accepted,
    valid,
)
from console.api.idempotency import idempotent
from deployments import actions
from deployments.models import (
    Deployment,
    Model,
    Node,
    Operation,
    OperationKind,
    Replica,
    Revision,
)
from deployments.placement import Placement
from deployments.revising import compare
from deployments.wishes import Keep, Strategy


class ReplicaSerializer(serializers.ModelSerializer[Replica]):
    revision = serializers.IntegerField(source="revision.number")
    problem = SentenceField()

    class Meta:
        model = Replica
        fields: ClassVar = ["node", "revision", "state", "digest", "problem", "probe"]


class RevisionSerializer(serializers.ModelSerializer[Revision]):
    model = ModelSerializer(read_only=True)

    class Meta:
        model = Revision
        fields: ClassVar = [
            "number",
            "model",
            "system_prompt",
            "parameters",
            "template",
            "schema",
            "scenario",
            "note",
            "created_at",
        ]


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    """`version` counts the wishes: send it with a change, so that nobody's is overwritten."""

    current = RevisionSerializer(read_only=True)
    target = RevisionSerializer(read_only=True)
    replicas = serializers.SerializerMethodField()
    problem = SentenceField()
    setback = SentenceField()

    class Meta:
        model = Deployment
        fields: ClassVar = [
            "id",
            "name",
            "description",
            "wanted",
            "state",
            "problem",
            "setback",
            "version",
            "current",
            "target",
            "replicas",
            "replicas_wanted",
            "labels",
            "nodes",
            "strategy",
            "keep",
            "timetable",
            "created_at",
            "live_at",
        ]

    def get_replicas(self, deployment: Deployment) -> list[dict[str, Any]]:
        rows = [r for each in deployment.revisions.all() for r in each.replicas.all()]
        return list(ReplicaSerializer(rows, many=True).data)


class PlacementSerializer(serializers.Serializer[Any]):
    """Where it runs. `replicas` null: one on each node that matches."""

    replicas = serializers.IntegerField(required=False, default=1, allow_null=True)
    labels = serializers.ListField(child=serializers.CharField(max_length=63), default=list)
    nodes = serializers.PrimaryKeyRelatedField(
        queryset=Node.objects.all(), many=True, required=False, default=list
    )
    strategy = serializers.ChoiceField(choices=Strategy.choices, default=Strategy.TOGETHER)
    keep = serializers.ChoiceField(choices=Keep.choices, default=Keep.ALWAYS)
    timetable = serializers.ListField(child=serializers.DictField(), default=list)


class RecipeSerializer(serializers.Serializer[Any]):
    """What a revision is made of."""

    model = serializers.PrimaryKeyRelatedField(queryset=Model.objects.all())
    system_prompt = serializers.CharField(required=False, default="", allow_blank=True)
    parameters = serializers.DictField(required=False, default=dict)
    template = serializers.CharField(required=False, default="", allow_blank=True)
    schema = serializers.JSONField(required=False, default=None)
    scenario = serializers.CharField(
        max_length=63, required=False, default="", allow_blank=True, help_text="A scenario's key."
    )
    fit_reason = serializers.CharField(
        max_length=300,
        required=False,
        default="",
        allow_blank=True,
        help_text="Why to try it although it fits nowhere; written into the log.",
    )


class NewDeploymentSerializer(RecipeSerializer):
    """What creating a deployment takes: on `node`, or as `placement` says."""

    name = serializers.CharField(max_length=63)
    description = serializers.CharField(
        max_length=300, required=False, default="", allow_blank=True
    )
    node = serializers.PrimaryKeyRelatedField(
        queryset=Node.objects.all(), required=False, default=None, allow_null=True
    )
    placement = PlacementSerializer(required=False, default=None)
    trial = serializers.PrimaryKeyRelatedField(
        queryset=Operation.objects.filter(kind=OperationKind.TRY),
        required=False,
        default=None,
        allow_null=True,
        help_text="The trial whose figures are kept with the first revision.",
    )


class VersionSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()


class VersionsSerializer(serializers.Serializer[Any]):
    """Numbers of the two revisions."""

    old = serializers.IntegerField(min_value=1)
    new = serializers.IntegerField(min_value=1)


class ComparedLineSerializer(serializers.Serializer[Any]):
    """`sign`: a space in both, - only in the old, + only in the new."""

    sign = serializers.CharField(trim_whitespace=False)
    text = serializers.CharField(trim_whitespace=False)


class ChangeSerializer(RecipeSerializer):
    """A new revision. `version` is the deployment's, as it was read."""

    version = serializers.IntegerField()
    note = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class PlaceSerializer(PlacementSerializer):
    version = serializers.IntegerField()
    fit_reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class DeploymentViewSet(ActsViewSet):
    """Named, governed endpoints."""

    view_act = Act.DEPLOYMENT_VIEW
    queryset = (
        Deployment.objects.present()
        .select_related("current__model", "target__model")
        .prefetch_related("revisions__replicas", "nodes")
    )
    serializer_class = DeploymentSerializer
    filterset_fields: ClassVar = ["name", "state", "wanted"]

    @extend_schema(request=NewDeploymentSerializer, responses={202: DeploymentSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """Create a deployment and begin to switch it on."""
        policy.require(self.actor, Act.DEPLOYMENT_CREATE)
        data = valid(NewDeploymentSerializer(data=request.data))
        placement = data.pop("placement")
        deployment = actions.create_deployment(
            actor=self.actor, placement=Placement(**placement) if placement else None, **data
        )
        return Response(DeploymentSerializer(deployment).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def start(self, request: Request, pk: str) -> Response:
        return accepted(
            actions.start(actor=self.actor, deployment=self._get(Act.DEPLOYMENT_START, pk))
        )

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def stop(self, request: Request, pk: str) -> Response:
        return accepted(
            actions.stop(actor=self.actor, deployment=self._get(Act.DEPLOYMENT_STOP, pk))
        )

    @extend_schema(responses={202: OperationSerializer})
    def destroy(self, request: Request, pk: str) -> Response:
        return accepted(
            actions.delete(actor=self.actor, deployment=self._get(Act.DEPLOYMENT_DELETE, pk))
        )

    @extend_schema(responses={200: RevisionSerializer(many=True)})
    @action(detail=True, methods=["get"])
    def revisions(self, request: Request, pk: str) -> Response:
        """All revisions, newest first."""
        deployment = self._get(Act.DEPLOYMENT_VIEW, pk)
        rows = deployment.revisions.select_related("model")
        return Response(RevisionSerializer(rows, many=True).data)

    @extend_schema(
        parameters=[VersionsSerializer],
        responses={200: ComparedLineSerializer(many=True)},
        filters=False,
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def compare(self, request: Request, pk: str) -> Response:
        """Two revisions line by line."""
        deployment = self._get(Act.DEPLOYMENT_VIEW, pk)
        asked = valid(VersionsSerializer(data=request.query_params))
        rows = deployment.revisions.select_related("model")
        found = {row.number: row for row in rows.filter(number__in=asked.values())}
        if len(found) != len(set(asked.values())):
            raise Missing(_("There is no such revision."))
        lines = compare(found[asked["old"]], found[asked["new"]])
        return Response(ComparedLineSerializer(lines, many=True).data)

    @extend_schema(request=ChangeSerializer, responses={202: DeploymentSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def change(self, request: Request, pk: str) -> Response:
        """Make a new revision and roll it out. 409 when somebody changed it meanwhile."""
        deployment = self._get(Act.DEPLOYMENT_CHANGE, pk)
        data = valid(ChangeSerializer(data=request.data))
        actions.change(actor=self.actor, deployment=deployment, **data)
        return self._now(pk)

    @extend_schema(request=VersionSerializer, responses={202: DeploymentSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def rollback(self, request: Request, pk: str) -> Response:
        """Back to the revision that served before, or call off the rollout under way."""
        deployment = self._get(Act.DEPLOYMENT_ROLLBACK, pk)
        data = valid(VersionSerializer(data=request.data))
        actions.rollback(actor=self.actor, deployment=deployment, **data)
        return self._now(pk)

    @extend_schema(request=PlaceSerializer, responses={202: DeploymentSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def place(self, request: Request, pk: str) -> Response:
        """Change where it runs, how it is rolled out and when it is loaded."""
        deployment = self._get(Act.DEPLOYMENT_PLACE, pk)
        data = valid(PlaceSerializer(data=request.data))
        version, fit_reason = data.pop("version"), data.pop("fit_reason")
        actions.place(
            actor=self.actor,
            deployment=deployment,
            version=version,
            placement=Placement(**data),
            fit_reason=fit_reason,
        )
        return self._now(pk)

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def restore(self, request: Request, pk: str) -> Response:
        """Make revisions anew that somebody changed on their nodes."""
        deployment = self._get(Act.DEPLOYMENT_RESTORE, pk)
        return accepted(actions.restore(actor=self.actor, deployment=deployment))

    def _get(self, act: Act, pk: str) -> Deployment:
        return policy.get_for(self.actor, act, Deployment.objects.present(), pk)

    def _now(self, pk: str) -> Response:
        row = self.get_queryset().get(pk=pk)
        return Response(DeploymentSerializer(row).data, status=status.HTTP_202_ACCEPTED)  # type: ignore[arg-type]
