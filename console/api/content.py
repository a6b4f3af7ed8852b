"""What is kept of prompts and answers, who may read it, and erasures, as JSON."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy
from access.models import User
from audit.ledger.acts import Act
from audit.office import actions
from audit.office.actions.content import Wish
from audit.office.actions.erasure import BASES
from audit.office.content.terms import Terms
from audit.office.models import CapturePolicy, Content, Erasure, Opening
from console.api.deployments import ActsViewSet, valid
from console.api.paging import KeysetPagination
from console.api.proposals import ProposalSerializer
from deployments.models import Deployment


class _Newest(KeysetPagination):
    ordering = ("-began_at", "pk")


class _NewestOpening(KeysetPagination):
    ordering = ("-opened_at", "pk")


class CaptureSerializer(serializers.ModelSerializer[CapturePolicy]):
    class Meta:
        model = CapturePolicy
        fields: ClassVar = [
            "id", "deployment_id", "deployment_name", "prompt", "answer", "percent", "days",
            "purpose", "necessity", "protection", "proposer_id", "approver_id", "began_at",
            "ended_at",
        ]  # fmt: skip


class TermsSerializer(serializers.Serializer[Any]):
    deployment = serializers.UUIDField()
    prompt = serializers.BooleanField(default=True)
    answer = serializers.BooleanField(default=True)
    percent = serializers.IntegerField(default=100)
    days = serializers.IntegerField(default=30)
    purpose = serializers.CharField(max_length=500)
    necessity = serializers.CharField(max_length=2000)
    protection = serializers.CharField(max_length=2000, default="", allow_blank=True)
    reason = serializers.CharField(max_length=500)


class CaptureViewSet(ActsViewSet):
    """The register of what is kept of prompts and answers. Nothing is, unless two people agree."""

    view_act = Act.CAPTURE_VIEW
    queryset = CapturePolicy.objects.all()
    serializer_class = CaptureSerializer
    pagination_class = _Newest
    filterset_fields: ClassVar = ["deployment_id"]

    @extend_schema(request=TermsSerializer, responses={202: ProposalSerializer})
    def create(self, request: Request) -> Response:
        """Ask a second person to have content of a deployment kept."""
        policy.require(self.actor, Act.CAPTURE_SET)
        given = valid(TermsSerializer(data=request.data))
        rows = Deployment.objects.present()
        found = policy.get_for(self.actor, Act.CAPTURE_SET, rows, given.pop("deployment"))
        asked = actions.request_capture(
            actor=self.actor,
            deployment_id=found.pk,
            deployment_name=found.name,
            reason=given.pop("reason"),
            terms=Terms(**given),
        )
        return Response(ProposalSerializer(asked).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses=CaptureSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """Keep nothing more, at once; this needs nobody else."""
        found = policy.get_for(self.actor, Act.CAPTURE_END, CapturePolicy.objects.all(), pk)
        return Response(
            CaptureSerializer(actions.end_capture(actor=self.actor, capture=found)).data
        )


class OpeningSerializer(serializers.ModelSerializer[Opening]):
    class Meta:
        model = Opening
        fields: ClassVar = [
            "id", "deployment_id", "deployment_name", "person_id", "start", "end", "reason",
            "reader_id", "approver_id", "minutes", "opened_at", "ends_at", "closed_at", "is_open",
        ]  # fmt: skip


class WishSerializer(serializers.Serializer[Any]):
    deployment = serializers.UUIDField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    person = serializers.UUIDField(required=False, allow_null=True, default=None)
    minutes = serializers.IntegerField(default=30)
    reason = serializers.CharField(max_length=500)


class ContentSerializer(serializers.ModelSerializer[Content]):
    class Meta:
        model = Content
        fields: ClassVar = ["id", "person_id", "request_id", "at", "expires_at", "size"]


class WordsSerializer(serializers.Serializer[Any]):
    """`matches`: whether it is what the log committed to; null when no event of it was found."""

    prompt = serializers.CharField(allow_null=True)
    answer = serializers.CharField(allow_null=True)
    cut = serializers.ListField(child=serializers.CharField())
    matches = serializers.BooleanField(allow_null=True)


class OpeningViewSet(ActsViewSet):
    """Break-glass: reading captured content for a reason, with a second person, for some time."""

    view_act = Act.CONTENT_CLOSE
    queryset = Opening.objects.all()
    serializer_class = OpeningSerializer
    pagination_class = _NewestOpening
    filterset_fields: ClassVar = ["deployment_id"]

    @extend_schema(request=WishSerializer, responses={202: ProposalSerializer})
    def create(self, request: Request) -> Response:
        """Ask a second person to let one read."""
        policy.require(self.actor, Act.CONTENT_OPEN)
        given = valid(WishSerializer(data=request.data))
        kept = CapturePolicy.objects.filter(deployment_id=given["deployment"]).first()
        name = kept.deployment_name if kept else ""
        wish = Wish(
            given["deployment"], name, given["start"], given["end"], given["minutes"],
            given["person"],
        )  # fmt: skip
        asked = actions.request_opening(actor=self.actor, wish=wish, reason=given["reason"])
        return Response(ProposalSerializer(asked).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=ContentSerializer(many=True))
    @action(detail=True, methods=["get"])
    def contents(self, request: Request, pk: str) -> Response:
        """What there is to read, not what was said. An event."""
        found = policy.get_for(self.actor, Act.CONTENT_LIST, Opening.objects.all(), pk)
        rows = actions.list_content(actor=self.actor, opening=found)
        return Response(ContentSerializer(rows, many=True).data)

    @extend_schema(responses=WordsSerializer)
    @action(detail=True, methods=["get"], url_path="contents/<uuid:content_pk>", url_name="words")
    def words(self, request: Request, pk: str, content_pk: UUID) -> Response:
        """The words of one request. An event of high severity."""
        found = policy.get_for(self.actor, Act.CONTENT_VIEW, Opening.objects.all(), pk)
        _row, words = actions.view_content(actor=self.actor, opening=found, pk=content_pk)
        return Response(WordsSerializer(words).data, headers={"Cache-Control": "no-store"})

    @extend_schema(request=None, responses=OpeningSerializer)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        """End the reading before its time."""
        found = policy.get_for(self.actor, Act.CONTENT_CLOSE, Opening.objects.all(), pk)
        return Response(
            OpeningSerializer(actions.close_opening(actor=self.actor, opening=found)).data
        )


class ErasureSerializer(serializers.ModelSerializer[Erasure]):
    class Meta:
        model = Erasure
        fields: ClassVar = [
            "id", "person_id", "state", "basis", "events", "contents", "kept_for", "due_at",
            "created_at", "finished_at",
        ]  # fmt: skip


class GroundSerializer(serializers.Serializer[Any]):
    person = serializers.UUIDField()
    basis = serializers.ChoiceField(choices=list(BASES))
    reason = serializers.CharField(max_length=500)


class ErasureViewSet(ActsViewSet):
    """Erasing people whose accounts are closed."""

    view_act = Act.USER_ERASE
    queryset = Erasure.objects.all()
    serializer_class = ErasureSerializer
    filterset_fields: ClassVar = ["state", "person_id"]

    @extend_schema(request=GroundSerializer, responses={202: ProposalSerializer})
    def create(self, request: Request) -> Response:
        """Ask a second person to have somebody erased."""
        policy.require(self.actor, Act.USER_ERASE)
        given = valid(GroundSerializer(data=request.data))
        person = policy.get_for(
            self.actor, Act.USER_ERASE, User.objects.people(), given.pop("person")
        )
        asked = actions.request_erasure(actor=self.actor, person=person, **given)
        return Response(ProposalSerializer(asked).data, status=status.HTTP_202_ACCEPTED)
