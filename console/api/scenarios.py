"""Scenarios as JSON: what a job asks for, so that a program can begin a deployment with it."""

from __future__ import annotations

from typing import Any, cast

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from access import policy
from audit.ledger.acts import Act
from console.api.deployments import OperationSerializer, accepted, valid
from console.requests import PageRequest
from deployments import actions, own_samples, scenarios
from deployments.models import Model


class TextSerializer(serializers.Serializer[Any]):
    title = serializers.CharField()
    summary = serializers.CharField()
    prompt = serializers.CharField()


class SampleSerializer(serializers.Serializer[Any]):
    """`fields` and `words`: what an answer must have."""

    en = serializers.CharField()
    zh = serializers.CharField()
    fields = serializers.DictField()  # type: ignore[assignment]
    words = serializers.ListField(child=serializers.CharField())


class SuitableSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.CharField()
    licence = serializers.CharField()


class ScenarioSerializer(serializers.Serializer[Any]):
    """A ready recipe: give its prompt, parameters, schema and key to a new deployment."""

    key = serializers.CharField()
    size = serializers.ChoiceField(scenarios.Size.choices)
    own = serializers.BooleanField()
    en = TextSerializer()
    zh = TextSerializer()
    parameters = serializers.DictField()
    schema = serializers.JSONField(allow_null=True)
    samples = SampleSerializer(many=True)
    models = SuitableSerializer(many=True)


class OwnSerializer(serializers.Serializer[Any]):
    """A text of one's own. `expected`: lines of `field = value`; words where there is no schema."""

    text = serializers.CharField(max_length=own_samples.MAX_TEXT)
    expected = serializers.CharField(
        max_length=own_samples.MAX_EXPECTED, required=False, default="", allow_blank=True
    )


class TrySerializer(serializers.Serializer[Any]):
    own = OwnSerializer(many=True, required=False, default=list)
    models = serializers.PrimaryKeyRelatedField(queryset=Model.objects.all(), many=True)
    language = serializers.ChoiceField(scenarios.LANGUAGES, default="en")


class ScenarioViewSet(ViewSet):
    """Ready recipes for jobs; few, so all of them at once."""

    lookup_value_converter = "slug"

    @extend_schema(responses={200: ScenarioSerializer(many=True)})
    def list(self, request: Request) -> Response:
        """Every scenario: those that come with the product, and the house's own."""
        self._require(request)
        found = scenarios.catalogue().scenarios.values()
        return Response({"results": ScenarioSerializer(list(found), many=True).data})

    @extend_schema(responses={200: ScenarioSerializer})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One scenario by its key."""
        self._require(request)
        scenario = scenarios.get(pk)
        if scenario is None:
            raise Http404
        return Response(ScenarioSerializer(scenario).data)

    @extend_schema(request=TrySerializer, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"], url_path="try")
    def try_samples(self, request: Request, pk: str) -> Response:
        """Ask its samples of these models; answers with the operation, whose result tells.

        Of texts of one's own it tells figures alone; answers to them are on the page."""
        page = cast(PageRequest, request._request)
        policy.require(page.actor, Act.SCENARIO_TRY)
        data = valid(TrySerializer(data=request.data))
        data["own"] = [own_samples.Given(**each) for each in data["own"]]
        return accepted(actions.try_scenario(actor=page.actor, scenario=pk, **data))

    def _require(self, request: Request) -> None:
        page = cast(PageRequest, request._request)
        policy.require(page.actor, Act.DEPLOYMENT_VIEW)
