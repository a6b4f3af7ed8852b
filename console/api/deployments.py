"""Nodes, models, deployments and operations as JSON."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.db.models import Model as Row
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy
from access.errors import Invalid
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from console.requests import PageRequest
from deployments import actions
from deployments.models import Deployment, Model, Node, Operation, Revision


class NodeSerializer(serializers.ModelSerializer[Node]):
    class Meta:
        model = Node
        fields: ClassVar = [
            "id",
            "name",
            "url",
            "status",
            "problem",
            "version",
            "loaded",
            "memory_bytes",
            "checked_at",
            "seen_at",
            "created_at",
        ]
        read_only_fields: ClassVar = [f for f in fields if f not in ("name", "url")]


class ModelSerializer(serializers.ModelSerializer[Model]):
    class Meta:
        model = Model
        fields: ClassVar = [
            "id",
            "digest",
            "name",
            "family",
            "parameter_size",
            "quantization",
            "size_bytes",
            "context_length",
            "capabilities",
            "created_at",
        ]


class RevisionSerializer(serializers.ModelSerializer[Revision]):
    model = ModelSerializer(read_only=True)

    class Meta:
        model = Revision
        fields: ClassVar = ["number", "model", "system_prompt", "parameters", "created_at"]


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    current = RevisionSerializer(read_only=True)

    class Meta:
        model = Deployment
        fields: ClassVar = [
            "id",
            "name",
            "description",
            "state",
            "problem",
            "current",
            "created_at",
            "live_at",
        ]


class NewDeploymentSerializer(serializers.Serializer[Any]):
    """What creating a deployment takes."""

    name = serializers.CharField(max_length=63)
    description = serializers.CharField(
        max_length=300, required=False, default="", allow_blank=True
    )
    model = serializers.PrimaryKeyRelatedField(queryset=Model.objects.all())
    node = serializers.PrimaryKeyRelatedField(queryset=Node.objects.all())
    system_prompt = serializers.CharField(required=False, default="", allow_blank=True)
    parameters = serializers.DictField(required=False, default=dict)


class OperationSerializer(serializers.ModelSerializer[Operation]):
    class Meta:
        model = Operation
        fields: ClassVar = [
            "id",
            "kind",
            "state",
            "subject",
            "deployment",
            "node",
            "step",
            "done",
            "total",
            "rate",
            "seconds_left",
            "is_stopping",
            "log",
            "problem",
            "attempt",
            "requester",
            "created_at",
            "started_at",
            "finished_at",
        ]


class ActsViewSet(viewsets.ReadOnlyModelViewSet[Any]):
    """Reading through the door: `view_act` is asked for before any row is given."""

    view_act: ClassVar[Act]
    lookup_value_converter = "uuid"

    @property
    def actor(self) -> Actor:
        return cast(PageRequest, self.request._request).actor

    def get_queryset(self) -> QuerySet[Row]:
        if not getattr(self, "swagger_fake_view", False):
            policy.require(self.actor, self.view_act)
        return super().get_queryset()


class NodeViewSet(ActsViewSet):
    """Machines that run Ollama."""

    view_act = Act.NODE_VIEW
    queryset = Node.objects.all()
    serializer_class = NodeSerializer

    def create(self, request: Request) -> Response:
        """Add a node after it has answered as Ollama does."""
        policy.require(self.actor, Act.NODE_REGISTER)
        data = valid(NodeSerializer(data=request.data))
        node = actions.register_node(actor=self.actor, name=data["name"], url=data["url"])
        return Response(NodeSerializer(node).data, status=status.HTTP_201_CREATED)

    def destroy(self, request: Request, pk: str) -> Response:
        """Forget a node; nothing on it is touched."""
        node = policy.get_for(self.actor, Act.NODE_REMOVE, Node.objects.all(), pk)
        actions.remove_node(actor=self.actor, node=node)
        return Response(status=status.HTTP_204_NO_CONTENT)


class DeploymentViewSet(ActsViewSet):
    """Named, governed endpoints."""

    view_act = Act.DEPLOYMENT_VIEW
    queryset = Deployment.objects.present().select_related("current__model")
    serializer_class = DeploymentSerializer

    @extend_schema(request=NewDeploymentSerializer, responses={202: DeploymentSerializer})
    def create(self, request: Request) -> Response:
        """Create a deployment and begin to switch it on."""
        policy.require(self.actor, Act.DEPLOYMENT_CREATE)
        data = valid(NewDeploymentSerializer(data=request.data))
        deployment = actions.create_deployment(actor=self.actor, **data)
        return Response(DeploymentSerializer(deployment).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        return accepted(
            actions.start(actor=self.actor, deployment=self._get(Act.DEPLOYMENT_START, pk))
        )

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        return accepted(
            actions.stop(actor=self.actor, deployment=self._get(Act.DEPLOYMENT_STOP, pk))
        )

    @extend_schema(responses={202: OperationSerializer})
    def destroy(self, request: Request, pk: str) -> Response:
        return accepted(
            actions.delete(actor=self.actor, deployment=self._get(Act.DEPLOYMENT_DELETE, pk))
        )

    def _get(self, act: Act, pk: str) -> Deployment:
        return policy.get_for(self.actor, act, Deployment.objects.present(), pk)


def valid(serializer: serializers.BaseSerializer[Any]) -> dict[str, Any]:
    """The values, or Invalid that names the first field at fault."""
    if not serializer.is_valid():
        field, problems = next(iter(cast(dict[str, Any], serializer.errors).items()))
        raise Invalid(f"{field}: {problems[0]}", field=str(field))
    return cast(dict[str, Any], serializer.validated_data)


def accepted(operation: Operation) -> Response:
    return Response(OperationSerializer(operation).data, status=status.HTTP_202_ACCEPTED)
