"""Cases and notes as JSON: the same verbs as on the pages."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy
from audit.ledger.acts import Act
from audit.office import actions
from audit.office.models import Case, CaseNote
from console.api.deployments import ActsViewSet, valid


class CaseNoteSerializer(serializers.ModelSerializer[CaseNote]):
    class Meta:
        model = CaseNote
        fields: ClassVar = ["author_id", "text", "at"]
        read_only_fields: ClassVar = fields


class CaseSerializer(serializers.ModelSerializer[Case]):
    """`events`: the ids of the newest two hundred; an export of the case has all of them."""

    notes = CaseNoteSerializer(many=True, read_only=True)
    count = serializers.SerializerMethodField()
    events = serializers.SerializerMethodField()

    class Meta:
        model = Case
        fields: ClassVar = [
            "id", "title", "state", "author_id", "count", "events", "notes", "created_at",
            "closed_at",
        ]  # fmt: skip
        read_only_fields: ClassVar = fields

    def get_count(self, case: Case) -> int:
        return case.items.count()

    def get_events(self, case: Case) -> list[UUID]:
        return list(case.items.order_by("-event_id").values_list("event_id", flat=True)[:200])


class TitleSerializer(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=120)


class EventsSerializer(serializers.Serializer[Any]):
    events = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=200)


class NoteTextSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=4000)


class CaseViewSet(ActsViewSet):
    """Events that belong together, with notes."""

    view_act = Act.CASE_VIEW
    queryset = Case.objects.prefetch_related("notes")
    serializer_class = CaseSerializer
    filterset_fields: ClassVar = ["state"]

    @extend_schema(request=TitleSerializer, responses={201: CaseSerializer})
    def create(self, request: Request) -> Response:
        """A new case."""
        policy.require(self.actor, Act.CASE_OPEN)
        case = actions.open_case(actor=self.actor, **valid(TitleSerializer(data=request.data)))
        return Response(CaseSerializer(case).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=EventsSerializer, responses={200: CaseSerializer})
    @action(detail=True, methods=["post"])
    def add(self, request: Request, pk: str) -> Response:
        """Add events; those that are in it stay."""
        case = self._get(Act.CASE_ADD, pk)
        data = valid(EventsSerializer(data=request.data))
        actions.add_to_case(actor=self.actor, case=case, **data)
        return Response(CaseSerializer(case).data)

    @extend_schema(request=NoteTextSerializer, responses={200: CaseSerializer})
    @action(detail=True, methods=["post"])
    def note(self, request: Request, pk: str) -> Response:
        """Write a note; nothing is taken back."""
        case = self._get(Act.CASE_NOTE, pk)
        actions.note_case(
            actor=self.actor, case=case, **valid(NoteTextSerializer(data=request.data))
        )
        return Response(CaseSerializer(case).data)

    @extend_schema(request=None, responses={200: CaseSerializer})
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        """Nothing is added to it any more."""
        case = self._get(Act.CASE_CLOSE, pk)
        return Response(CaseSerializer(actions.close_case(actor=self.actor, case=case)).data)

    def _get(self, permission: Act, pk: str) -> Case:
        rows: QuerySet[Case] = Case.objects.all()
        return policy.get_for(self.actor, permission, rows, pk)
