"""Documents as JSON: bytes in, text out, nothing kept. The page of a task asks here, too."""

from __future__ import annotations

from typing import IO, Any, cast
from urllib.parse import unquote

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from access.errors import Invalid
from console.errors import shape
from console.requests import PageRequest
from deployments import actions
from deployments.documents import words

NAME = "X-Document-Name"
STATUS = {
    "too_large": status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    "busy": status.HTTP_503_SERVICE_UNAVAILABLE,
}


class ReadingSerializer(serializers.Serializer[Any]):
    """`texts`: the records of a CSV file; `left_out`: in words, what is not in the text."""

    kind = serializers.CharField()
    text = serializers.CharField()
    texts = serializers.ListField(child=serializers.CharField())
    pages = serializers.IntegerField()
    encoding = serializers.CharField()
    without_text = serializers.ListField(child=serializers.IntegerField())
    left_out = serializers.SerializerMethodField()

    def get_left_out(self, reading: Any) -> str:
        return words.left_out(reading)


class StreamParser(BaseParser):
    """The body, unread: the verb reads no more of it than it may."""

    media_type = "application/octet-stream"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return stream


class DocumentViewSet(ViewSet):
    """.txt, .md, .csv, .pdf and .docx to text, for tasks."""

    parser_classes = (StreamParser,)

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY},
        parameters=[OpenApiParameter(NAME, str, OpenApiParameter.HEADER, required=True)],
        responses={200: ReadingSerializer},
    )
    def create(self, request: Request) -> Response:
        """The text of one file; its name, percent-encoded in UTF-8, in `X-Document-Name`."""
        page = cast(PageRequest, request._request)
        name = unquote(request.headers.get(NAME, "")).strip()
        if not name or len(name) > 255 or "\x00" in name:
            raise Invalid(f"{NAME}: the name of the file is needed.", field=NAME)
        reading = actions.extract_document(
            actor=page.actor, name=name, content=cast(IO[bytes], request.data)
        )
        if reading.problem:
            code = STATUS.get(reading.problem, status.HTTP_422_UNPROCESSABLE_ENTITY)
            told = shape(code, f"document_{reading.problem}", words.problem(reading))
            return Response(told, status=code)
        return Response(ReadingSerializer(reading).data)
