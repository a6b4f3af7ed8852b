"""Models and operations as JSON; and what every view set of the API needs."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.db.models import Model as Row
from django.db.models import QuerySet
from rest_framework import serializers, status, viewsets
from rest_framework.response import Response

from access import policy
from access.errors import Invalid
from access.said import Value, from_json
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from console.errors import first
from console.requests import PageRequest
from deployments.models import Model, Operation


class SentenceField(serializers.CharField):
    """A stored reason, in the language that the request asks for."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: Value) -> str:
        return str(value)


class LogLineSerializer(serializers.Serializer[dict[str, Any]]):
    at = serializers.DateTimeField()
    step = serializers.CharField()
    text = serializers.SerializerMethodField()

    def get_text(self, line: dict[str, Any]) -> str:
        return str(from_json(line.get("text", "")))


class ModelSerializer(serializers.ModelSerializer[Model]):
    class Meta:
        model = Model
        fields: ClassVar = [
            "id",
            "digest",
            "adapter",
            "name",
            "family",
            "parameter_size",
            "quantization",
            "size_bytes",
            "context_length",
            "capabilities",
            "created_at",
        ]


class ResultField(serializers.JSONField):
    """What the operation found; its sentences are worded in the language of whoever asks."""

    def to_representation(self, value: Any) -> Any:
        return {name: _worded(each) for name, each in value.items()}


def _worded(entry: Any) -> Any:
    if isinstance(entry, dict) and "problem" in entry:
        return entry | {"problem": str(from_json(entry["problem"]))}
    return entry


class OperationSerializer(serializers.ModelSerializer[Operation]):
    problem = SentenceField()
    result = ResultField(read_only=True)
    log = LogLineSerializer(many=True, read_only=True)

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
            "result",
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


def valid(serializer: serializers.BaseSerializer[Any]) -> dict[str, Any]:
    """The values, or Invalid that names the first field at fault."""
    if not serializer.is_valid():
        field, problems = next(iter(cast(dict[str, Any], serializer.errors).items()))
        raise Invalid(f"{field}: {first(problems)}", field=str(field))
    return cast(dict[str, Any], serializer.validated_data)


def accepted(operation: Operation) -> Response:
    return Response(OperationSerializer(operation).data, status=status.HTTP_202_ACCEPTED)
