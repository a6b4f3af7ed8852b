"""What needs a second person as JSON: read, approve, refuse, withdraw."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access import actions, policy
from access.models import Proposal, ProposalQuerySet
from audit.ledger.acts import Act
from console.api.deployments import ActsViewSet, valid


class DifferenceSerializer(serializers.Serializer[Any]):
    """A row of the difference: a text, number, yes or no before and after."""

    label = serializers.CharField()  # type: ignore[assignment]
    old = serializers.JSONField(allow_null=True)
    new = serializers.JSONField(allow_null=True)


class ProposalSerializer(serializers.ModelSerializer[Proposal]):
    difference = DifferenceSerializer(many=True, read_only=True)

    class Meta:
        model = Proposal
        fields: ClassVar = [
            "id",
            "act",
            "target_type",
            "target_id",
            "target_label",
            "difference",
            "arguments",
            "reason",
            "roles",
            "state",
            "alone",
            "requester",
            "approver",
            "answer",
            "created_at",
            "expires_at",
            "decided_at",
        ]


class DecisionSerializer(serializers.Serializer[Any]):
    answer = serializers.CharField(max_length=500, allow_blank=True, default="")


class ProposalViewSet(ActsViewSet):
    """What one person asked for and another must approve. Asking is done where the thing is."""

    view_act = Act.PROPOSAL_VIEW
    queryset = Proposal.objects.all()
    serializer_class = ProposalSerializer
    filterset_fields: ClassVar = ["state", "act", "target_id", "requester"]

    def get_queryset(self) -> Any:
        rows = cast(ProposalQuerySet, super().get_queryset())
        if getattr(self, "swagger_fake_view", False):
            return rows
        return rows.visible_to(self.actor.id, self.actor.role)

    @extend_schema(request=DecisionSerializer, responses={200: ProposalSerializer})
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """As a second person, have it applied exactly as asked. 409 when it is outdated."""
        proposal = policy.get_for(self.actor, Act.PROPOSAL_APPROVE, self.get_queryset(), pk)
        answer = valid(DecisionSerializer(data=request.data))["answer"]
        done = actions.approve(actor=self.actor, proposal=proposal, answer=answer)
        return Response(ProposalSerializer(done).data)

    @extend_schema(request=DecisionSerializer, responses={200: ProposalSerializer})
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """As a second person, refuse it; `answer` says why."""
        proposal = policy.get_for(self.actor, Act.PROPOSAL_REJECT, self.get_queryset(), pk)
        answer = valid(DecisionSerializer(data=request.data))["answer"]
        done = actions.reject(actor=self.actor, proposal=proposal, answer=answer)
        return Response(ProposalSerializer(done).data)

    @extend_schema(request=None, responses={200: ProposalSerializer})
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """Take back what one asked for oneself."""
        proposal = policy.get_for(self.actor, Act.PROPOSAL_WITHDRAW, self.get_queryset(), pk)
        done = actions.withdraw(actor=self.actor, proposal=proposal)
        return Response(ProposalSerializer(done).data)
