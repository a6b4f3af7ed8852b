"""Models and operations as JSON; and what every view set of the API needs."""

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
from deployments.models import Model, Node, Operation


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


class PullSerializer(serializers.Serializer[Any]):
    """What a pull takes."""

    node = serializers.PrimaryKeyRelatedField(queryset=Node.objects.all())
    name = serializers.CharField(max_length=200)


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


class ModelViewSet(ActsViewSet):
    """The catalogue, by digest."""

    view_act = Act.MODEL_VIEW
    queryset = Model.objects.all()
    serializer_class = ModelSerializer

    @extend_schema(request=PullSerializer, responses={202: OperationSerializer})
    @action(detail=False, methods=["post"])
    def pull(self, request: Request) -> Response:
        """Have a node pull a model; answers with the operation to follow."""
        policy.require(self.actor, Act.MODEL_PULL)
        data = valid(PullSerializer(data=request.data))
        return accepted(actions.pull_model(actor=self.actor, **data))


class OperationViewSet(ActsViewSet):
    """Long work: progress, cancel, retry."""

    view_act = Act.OPERATION_VIEW
    queryset = Operation.objects.all()
    serializer_class = OperationSerializer

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        operation = policy.get_for(self.actor, Act.OPERATION_CANCEL, Operation.objects.all(), pk)
        return accepted(actions.cancel_operation(actor=self.actor, operation=operation))

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        operation = policy.get_for(self.actor, Act.OPERATION_RETRY, Operation.objects.all(), pk)
        return accepted(actions.retry_operation(actor=self.actor, operation=operation))


def valid(serializer: serializers.BaseSerializer[Any]) -> dict[str, Any]:
    """The values, or Invalid that names the first field at fault."""
    if not serializer.is_valid():
        field, problems = next(iter(cast(dict[str, Any], serializer.errors).items()))
        raise Invalid(f"{field}: {problems[0]}", field=str(field))
    return cast(dict[str, Any], serializer.validated_data)


def accepted(operation: Operation) -> Response:
    return Response(OperationSerializer(operation).data, status=status.HTTP_202_ACCEPTED)
