"""The catalogue, its copies on nodes and uploads as JSON."""

from __future__ import annotations

from typing import Any, ClassVar, cast
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy
from access.errors import Invalid
from audit.ledger.acts import Act
from console.api.deployments import (
    ActsViewSet,
    ModelSerializer,
    OperationSerializer,
    accepted,
    valid,
)
from console.api.idempotency import idempotent
from console.api.paging import KeysetPagination
from deployments import actions, room
from deployments.actions.uploads import MAX_CHUNK
from deployments.approvals import APPROVED
from deployments.models import Model, Node, StoredModel, Upload, UploadedFile
from deployments.recipes import BY_NAME, DEFAULT_NUM_CTX

CONTEXT = BY_NAME["num_ctx"]


class CopySerializer(serializers.ModelSerializer[StoredModel]):
    class Meta:
        model = StoredModel
        fields: ClassVar = ["id", "node", "model", "tag", "seen_at"]


class CatalogueSerializer(ModelSerializer):
    approved = serializers.BooleanField(read_only=True)
    stored = CopySerializer(many=True, read_only=True)

    class Meta(ModelSerializer.Meta):
        fields: ClassVar = [*ModelSerializer.Meta.fields, "licence", "approved", "stored"]


class PullSerializer(serializers.Serializer[Any]):
    """What a pull takes. `insecure` allows a registry without TLS."""

    node = serializers.PrimaryKeyRelatedField(queryset=Node.objects.all())
    name = serializers.CharField(max_length=200)
    insecure = serializers.BooleanField(default=False)


class ApproveSerializer(serializers.Serializer[Any]):
    accept_licence = serializers.BooleanField(default=False)


class ToNodeSerializer(serializers.Serializer[Any]):
    """Where a copy goes."""

    node = serializers.PrimaryKeyRelatedField(queryset=Node.objects.all())


class UploadedFileSerializer(serializers.ModelSerializer[UploadedFile]):
    class Meta:
        model = UploadedFile
        fields: ClassVar = ["id", "name", "size", "received", "sha256"]


class UploadSerializer(serializers.ModelSerializer[Upload]):
    files = UploadedFileSerializer(many=True, read_only=True)

    class Meta:
        model = Upload
        fields: ClassVar = [
            "id",
            "name",
            "node",
            "base",
            "quantize",
            "state",
            "files",
            "created_at",
            "touched_at",
        ]


class AnnouncedFileSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=300)
    size = serializers.IntegerField(min_value=0)
    sha256 = serializers.CharField(max_length=80, required=False, allow_blank=True)


class NewUploadSerializer(serializers.Serializer[Any]):
    """What an upload announces; the bytes follow file by file."""

    name = serializers.CharField(max_length=200)
    node = serializers.PrimaryKeyRelatedField(queryset=Node.objects.all())
    files = AnnouncedFileSerializer(many=True, allow_empty=False, max_length=64)  # type: ignore[call-arg]
    quantize = serializers.CharField(default="", allow_blank=True, max_length=16)
    base = serializers.CharField(default="", allow_blank=True, max_length=255)


class FitQuerySerializer(serializers.Serializer[Any]):
    num_ctx = serializers.IntegerField(
        min_value=int(CONTEXT.least), max_value=int(CONTEXT.most), default=DEFAULT_NUM_CTX
    )


class NeedSerializer(serializers.Serializer[Any]):
    """A sum in bytes."""

    total = serializers.IntegerField()
    weights = serializers.IntegerField()
    cache = serializers.IntegerField()
    program = serializers.IntegerField()
    work = serializers.IntegerField()
    context = serializers.IntegerField()  # type: ignore[assignment]
    parallel = serializers.IntegerField()


class RoomSerializer(serializers.Serializer[Any]):
    """One node: `free` null when nobody told what it has; what would fit where it does not."""

    node = serializers.CharField(source="node.name")
    need = NeedSerializer(allow_null=True)
    free = serializers.IntegerField(allow_null=True)
    verdict = serializers.ChoiceField(room.Verdict.choices)
    fitting_context = serializers.IntegerField(source="context", allow_null=True)
    fitting_quantization = serializers.CharField(source="quantization", allow_null=True)


class BytesParser(BaseParser):
    """A chunk, as it is."""

    media_type = "application/octet-stream"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return stream.read(MAX_CHUNK + 1)


class ModelViewSet(ActsViewSet):
    """The catalogue, by digest."""

    view_act = Act.MODEL_VIEW
    queryset = Model.objects.annotate(approved=APPROVED).prefetch_related("stored")
    serializer_class = CatalogueSerializer
    filterset_fields: ClassVar = ["name", "digest", "quantization"]

    @extend_schema(request=PullSerializer, responses={202: OperationSerializer})
    @action(detail=False, methods=["post"])
    @idempotent
    def pull(self, request: Request) -> Response:
        """Have a node pull a model; answers with the operation to follow."""
        policy.require(self.actor, Act.MODEL_PULL)
        data = valid(PullSerializer(data=request.data))
        return accepted(actions.pull_model(actor=self.actor, **data))

    @extend_schema(parameters=[FitQuerySerializer], responses={200: RoomSerializer(many=True)})
    @action(detail=True, methods=["get"])
    def fit(self, request: Request, pk: str) -> Response:
        """What it needs in memory with `num_ctx` tokens of context, node by node, and its sum."""
        model = policy.get_for(self.actor, Act.MODEL_VIEW, Model.objects.all(), pk)
        context = valid(FitQuerySerializer(data=request.query_params))["num_ctx"]
        return Response(RoomSerializer(room.rooms(model, context), many=True).data)

    @extend_schema(request=ApproveSerializer, responses={200: CatalogueSerializer})
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Let the model be deployed; one with a licence only with `accept_licence`."""
        model = policy.get_for(self.actor, Act.MODEL_APPROVE, Model.objects.all(), pk)
        actions.approve_model(
            actor=self.actor, model=model, **valid(ApproveSerializer(data=request.data))
        )
        return self._again(pk)

    @extend_schema(request=None, responses={200: CatalogueSerializer})
    @action(detail=True, methods=["post"], url_path="revoke-approval")
    def revoke_approval(self, request: Request, pk: str) -> Response:
        """Take an approval back; what runs goes on until it is stopped."""
        model = policy.get_for(self.actor, Act.MODEL_REVOKE_APPROVAL, Model.objects.all(), pk)
        actions.revoke_approval(actor=self.actor, model=model)
        return self._again(pk)

    def _again(self, pk: str) -> Response:
        return Response(CatalogueSerializer(self.queryset.get(pk=pk)).data)


class NewestSeen(KeysetPagination):
    ordering = ("-seen_at", "pk")


class CopyViewSet(mixins.DestroyModelMixin, ActsViewSet):
    """Copies of models on nodes."""

    view_act = Act.MODEL_VIEW
    queryset = StoredModel.objects.select_related("node", "model")
    serializer_class = CopySerializer
    lookup_value_converter = "int"
    filterset_fields: ClassVar = ["node", "model", "tag"]
    pagination_class = NewestSeen

    @extend_schema(request=ToNodeSerializer, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def copy(self, request: Request, pk: str) -> Response:
        """Copy the model to another node, under the same tag."""
        stored = policy.get_for(self.actor, Act.MODEL_COPY, self.queryset.all(), pk)
        data = valid(ToNodeSerializer(data=request.data))
        return accepted(actions.copy_model(actor=self.actor, stored=stored, **data))

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a copy from its node. Refused while something there is made of it."""
        stored = policy.get_for(self.actor, Act.MODEL_DELETE, self.queryset.all(), pk)
        actions.delete_model(actor=self.actor, stored=stored)
        return Response(status=status.HTTP_204_NO_CONTENT)


class UploadViewSet(ActsViewSet):
    """Files on their way to a node: announce, send chunks, finish."""

    view_act = Act.MODEL_UPLOAD
    queryset = Upload.objects.prefetch_related("files")
    serializer_class = UploadSerializer
    filterset_fields: ClassVar = ["state", "node", "name"]

    @extend_schema(request=NewUploadSerializer, responses={201: UploadSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """Announce the files of a model or adapter."""
        policy.require(self.actor, Act.MODEL_UPLOAD)
        data = valid(NewUploadSerializer(data=request.data))
        upload = actions.begin_upload(actor=self.actor, **data)
        return Response(UploadSerializer(upload).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY},
        parameters=[OpenApiParameter("offset", int, required=True)],
        responses={200: UploadedFileSerializer},
    )
    @action(
        detail=True, methods=["put"], url_path="files/<uuid:file_pk>", parser_classes=[BytesParser]
    )
    def chunk(self, request: Request, pk: str, file_pk: UUID) -> Response:
        """Send the next bytes of a file, at most 4 MiB, at `offset`; 409 tells where it is."""
        upload = policy.get_for(self.actor, Act.MODEL_UPLOAD, Upload.objects.all(), pk)
        file = policy.get_for(self.actor, Act.MODEL_UPLOAD, upload.files.all(), file_pk)
        offset = request.query_params.get("offset", "")
        if not offset.isascii() or not offset.isdigit() or len(offset) > 15:
            raise Invalid("offset: a number of bytes is needed.", field="offset")
        file = actions.append(
            actor=self.actor, file=file, offset=int(offset), chunk=cast(bytes, request.data or b"")
        )
        return Response(UploadedFileSerializer(file).data)

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def finish(self, request: Request, pk: str) -> Response:
        """All bytes are there: look into the files and import them."""
        upload = policy.get_for(self.actor, Act.MODEL_IMPORT, Upload.objects.all(), pk)
        return accepted(actions.finish_upload(actor=self.actor, upload=upload))

    def destroy(self, request: Request, pk: str) -> Response:
        """Throw the files away."""
        upload = policy.get_for(self.actor, Act.MODEL_UPLOAD, Upload.objects.all(), pk)
        actions.discard_upload(actor=self.actor, upload=upload)
        return Response(status=status.HTTP_204_NO_CONTENT)
