"""Alarms, their rules and receivers as JSON: the same verbs as on the pages."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.mixins import DestroyModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from access import policy
from audit.ledger.acts import Act
from audit.office import actions
from audit.office.alarming import words
from audit.office.alarming.rules import RULES, Rule, visible_to
from audit.office.models import Alarm, AlarmRule, AlarmWord, Channel, ChannelKind, Notice, Verdict
from console.api.deployments import ActsViewSet, valid
from console.api.paging import KeysetPagination
from console.requests import PageRequest


class WordSerializer(serializers.ModelSerializer[AlarmWord]):
    class Meta:
        model = AlarmWord
        fields: ClassVar = ["person_id", "verdict", "text", "at"]
        read_only_fields: ClassVar = fields


class AlarmSerializer(serializers.ModelSerializer[Alarm]):
    """`sentence` is in the language that was asked for; `events` are ids of events in the log."""

    sentence = serializers.SerializerMethodField()
    severity = serializers.SerializerMethodField()
    words = WordSerializer(many=True, read_only=True)
    events = serializers.SerializerMethodField()

    class Meta:
        model = Alarm
        fields: ClassVar = [
            "id", "rule", "severity", "sentence", "subject_type", "subject_id", "part", "facts",
            "count", "opened_at", "seen_at", "closed_at", "acknowledged_at", "words", "events",
        ]  # fmt: skip
        read_only_fields: ClassVar = fields

    def get_sentence(self, alarm: Alarm) -> str:
        return words.sentence(alarm)

    def get_severity(self, alarm: Alarm) -> int:
        rule = RULES.get(alarm.rule)
        return rule.severity if rule else 0

    def get_events(self, alarm: Alarm) -> list[str]:
        newest = alarm.sightings.order_by("-event_id").values_list("event_id", flat=True)
        return [str(pk) for pk in newest[:50]]


class AcknowledgeSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(Verdict.choices)
    text = serializers.CharField(max_length=1000)


class AlarmPagination(KeysetPagination):
    ordering = ("-opened_at", "pk")


class AlarmViewSet(ActsViewSet):
    """What somebody should look at; each role sees the alarms that are for it."""

    view_act = Act.ALARM_VIEW
    queryset = Alarm.objects.prefetch_related("words")
    serializer_class = AlarmSerializer
    pagination_class = AlarmPagination
    filterset_fields: ClassVar = {
        "rule": ["exact"],
        "subject_id": ["exact"],
        "acknowledged_at": ["isnull"],
        "closed_at": ["isnull"],
    }

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        return rows.filter(rule__in=visible_to(self.actor.role))

    @extend_schema(request=AcknowledgeSerializer, responses={200: AlarmSerializer})
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Say what it was; the words are in the log."""
        rows: QuerySet[Alarm] = Alarm.objects.filter(rule__in=visible_to(self.actor.role))
        alarm = policy.get_for(self.actor, Act.ALARM_ACKNOWLEDGE, rows, pk)
        data = valid(AcknowledgeSerializer(data=request.data))
        done = actions.acknowledge_alarm(actor=self.actor, alarm=alarm, **data)
        return Response(AlarmSerializer(done).data)


class RuleSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    severity = serializers.IntegerField()
    lasts = serializers.BooleanField()
    may_rest = serializers.BooleanField()
    resting = serializers.BooleanField()
    values = serializers.DictField(child=serializers.IntegerField())
    bounds = serializers.DictField(child=serializers.ListField(child=serializers.IntegerField()))
    looked_at = serializers.DateTimeField(allow_null=True)
    problem = serializers.CharField()


class SetRuleSerializer(serializers.Serializer[Any]):
    values = serializers.DictField(child=serializers.IntegerField(), required=False, default=dict)
    resting = serializers.BooleanField(required=False, default=False)


class RuleViewSet(ViewSet):
    """The rules; few, so all of them at once."""

    lookup_value_converter = "slug"

    @extend_schema(responses={200: RuleSerializer(many=True)})
    def list(self, request: Request) -> Response:
        """What is looked for, and how it is set."""
        page = cast(PageRequest, request._request)
        policy.require(page.actor, Act.ALARM_VIEW)
        rows = AlarmRule.objects.in_bulk()
        found = [_rule(RULES[key], rows.get(key)) for key in visible_to(page.actor.role)]
        return Response({"results": RuleSerializer(found, many=True).data})

    @extend_schema(request=SetRuleSerializer, responses={200: RuleSerializer})
    @action(detail=True, methods=["post"], url_path="set")
    def set_values(self, request: Request, pk: str) -> Response:
        """Set thresholds within their bounds; those not given go back to their defaults."""
        page = cast(PageRequest, request._request)
        policy.require(page.actor, Act.ALARM_SET_RULE, pk)
        if pk not in RULES:
            raise Http404
        data = valid(SetRuleSerializer(data=request.data))
        row = actions.set_alarm_rule(actor=page.actor, key=pk, **data)
        return Response(RuleSerializer(_rule(RULES[pk], row)).data)


def _rule(rule: Rule, row: AlarmRule | None) -> dict[str, Any]:
    return {
        "key": rule.key,
        "severity": rule.severity,
        "lasts": rule.lasts,
        "may_rest": rule.may_rest,
        "resting": bool(row and row.resting),
        "values": rule.values(row.values if row else {}),
        "bounds": {t.name: [t.least, t.most] for t in rule.thresholds},
        "looked_at": row.looked_at if row else None,
        "problem": row.problem if row else "",
    }


class ChannelSerializer(serializers.ModelSerializer[Channel]):
    """Of a webhook's signing key only that there is one."""

    class Meta:
        model = Channel
        fields: ClassVar = [
            "id", "name", "kind", "address", "language", "least", "per_hour", "created_at",
        ]  # fmt: skip
        read_only_fields: ClassVar = ["id", "created_at"]
        # The verb says it in the reader's language.
        extra_kwargs: ClassVar[dict[str, Any]] = {"name": {"validators": []}}


class AddedSerializer(ChannelSerializer):
    """With the signing key of a webhook, this once."""

    signing_key = serializers.CharField(read_only=True)

    class Meta(ChannelSerializer.Meta):
        fields: ClassVar = [*ChannelSerializer.Meta.fields, "signing_key"]


class AddSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    kind = serializers.ChoiceField(ChannelKind.choices)
    address = serializers.CharField(max_length=2000)
    language = serializers.CharField(default="en", max_length=16)
    least = serializers.IntegerField(default=3)
    per_hour = serializers.IntegerField(default=10)


class NoticeSerializer(serializers.ModelSerializer[Notice]):
    class Meta:
        model = Notice
        fields: ClassVar = [
            "id", "kind", "alarms", "state", "attempt", "due_at", "problem", "created_at",
            "ended_at",
        ]  # fmt: skip
        read_only_fields: ClassVar = fields


class ChannelViewSet(DestroyModelMixin, ActsViewSet):
    """Where alarms are sent."""

    view_act = Act.ALARM_ADD_CHANNEL
    queryset = Channel.objects.all()
    serializer_class = ChannelSerializer

    @extend_schema(request=AddSerializer, responses={201: AddedSerializer})
    def create(self, request: Request) -> Response:
        """A new receiver. The answer has the signing key of a webhook, and nothing ever again."""
        policy.require(self.actor, Act.ALARM_ADD_CHANNEL)
        data = valid(AddSerializer(data=request.data))
        channel, key = actions.add_channel(actor=self.actor, **data)
        body = {**ChannelSerializer(channel).data, "signing_key": key}
        return Response(body, status=status.HTTP_201_CREATED)

    def destroy(self, request: Request, *_args: Any, **kwargs: Any) -> Response:
        """Nothing is sent there any more."""
        rows: QuerySet[Channel] = Channel.objects.all()
        channel = policy.get_for(self.actor, Act.ALARM_REMOVE_CHANNEL, rows, kwargs["pk"])
        actions.remove_channel(actor=self.actor, channel=channel)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={202: NoticeSerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send a test; `notices` tells how it went."""
        rows: QuerySet[Channel] = Channel.objects.all()
        channel = policy.get_for(self.actor, Act.ALARM_TEST_CHANNEL, rows, pk)
        made = actions.test_channel(actor=self.actor, channel=channel)
        return Response(NoticeSerializer(made).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses={200: NoticeSerializer(many=True)})
    @action(detail=True, methods=["get"])
    def notices(self, request: Request, pk: str) -> Response:
        """The newest fifty messages to it, and how each went."""
        rows: QuerySet[Channel] = Channel.objects.all()
        channel = policy.get_for(self.actor, Act.ALARM_ADD_CHANNEL, rows, pk)
        return Response({"results": NoticeSerializer(channel.notices.all()[:50], many=True).data})
