"""Keeping as JSON: the policy, what goes next, and holds."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from access import policy
from audit.ledger.acts import Act
from audit.office import actions, retention
from audit.office.models import Hold, HoldKind
from console.api.deployments import ActsViewSet, valid
from console.api.paging import KeysetPagination
from console.api.proposals import ProposalSerializer
from console.requests import PageRequest


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500)


class NewPolicySerializer(ReasonSerializer):
    days = serializers.IntegerField()
    outside_days = serializers.IntegerField()


class PolicySerializer(serializers.Serializer[Any]):
    """Days, the floors, and what the next run would remove (counted up to 100000)."""

    days = serializers.IntegerField()
    outside_days = serializers.IntegerField()
    floor = serializers.IntegerField()
    outside_floor = serializers.IntegerField()
    next_removes = serializers.IntegerField()
    next_keeps_held = serializers.IntegerField()


class HoldSerializer(serializers.ModelSerializer[Hold]):
    class Meta:
        model = Hold
        fields: ClassVar = [
            "id",
            "kind",
            "value",
            "label",
            "from_at",
            "to_at",
            "reason",
            "set_by",
            "set_at",
            "released_at",
            "release_id",
        ]


class NewHoldSerializer(ReasonSerializer):
    kind = serializers.ChoiceField(choices=HoldKind.choices)
    value = serializers.CharField(max_length=200, allow_blank=True, default="")
    label = serializers.CharField(max_length=200, allow_blank=True, default="")  # type: ignore[assignment]
    from_at = serializers.DateTimeField(allow_null=True, default=None)
    to_at = serializers.DateTimeField(allow_null=True, default=None)


class RetentionViewSet(ViewSet):
    """How long events are kept."""

    @extend_schema(responses={200: PolicySerializer})
    def list(self, request: Request) -> Response:
        """The policy in force."""
        policy.require(cast(PageRequest, request._request).actor, Act.AUDIT_VIEW_RETENTION)
        rule, preview = retention.policy(), retention.preview()
        return Response(
            {
                "days": rule.days,
                "outside_days": rule.outside_days,
                "floor": retention.floor(),
                "outside_floor": retention.OUTSIDE_FLOOR,
                "next_removes": preview.count,
                "next_keeps_held": preview.held,
                "asked_at": timezone.now(),
            }
        )

    @extend_schema(request=NewPolicySerializer, responses={202: ProposalSerializer})
    def create(self, request: Request) -> Response:
        """Propose another policy; a second person must approve it."""
        actor = cast(PageRequest, request._request).actor
        policy.require(actor, Act.AUDIT_SET_RETENTION)
        data = valid(NewPolicySerializer(data=request.data))
        made = actions.set_retention(actor=actor, **data)
        return Response(ProposalSerializer(made).data, status=status.HTTP_202_ACCEPTED)


class NewestHold(KeysetPagination):
    ordering = ("-set_at", "pk")


class HoldViewSet(ActsViewSet):
    """Legal holds."""

    view_act = Act.AUDIT_VIEW_RETENTION
    queryset = Hold.objects.all()
    serializer_class = HoldSerializer
    filterset_fields: ClassVar = ["kind", "value"]
    pagination_class = NewestHold

    @extend_schema(request=NewHoldSerializer, responses={201: HoldSerializer})
    def create(self, request: Request) -> Response:
        """Hold an event, a person, a deployment (with its name as `label`) or a period."""
        policy.require(self.actor, Act.AUDIT_HOLD)
        made = actions.hold(actor=self.actor, **valid(NewHoldSerializer(data=request.data)))
        return Response(HoldSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ReasonSerializer, responses={202: ProposalSerializer})
    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: str) -> Response:
        """Propose that it ends; a second person must approve it."""
        row = policy.get_for(self.actor, Act.AUDIT_RELEASE_HOLD, Hold.objects.all(), pk)
        reason = valid(ReasonSerializer(data=request.data))["reason"]
        made = actions.release_hold(actor=self.actor, hold=row, reason=reason)
        return Response(ProposalSerializer(made).data, status=status.HTTP_202_ACCEPTED)
