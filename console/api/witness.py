"""What a witness asks and says (audit/office/verifier/witness.py): heads, cosignatures, alarms."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from django.urls import path
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema
from rest_framework import authentication, exceptions, serializers, views
from rest_framework.request import Request
from rest_framework.response import Response

from access.roles import WITNESS
from audit.ledger import log
from audit.ledger.actor import Actor, ActorKind
from audit.ledger.acts import Act
from audit.office import actions, witnessing
from audit.office.outside_models import Witness
from console.requests import PageRequest

MAX_NOTE = 4096


class WitnessAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer fbw_…`, a secret that opens nothing but these three doors."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        header = authentication.get_authorization_header(request)
        scheme, _, secret = header.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        page = cast(PageRequest, request._request)
        digest = witnessing.secret_hash(secret.strip().decode("latin-1"))
        witness = Witness.objects.filter(sha256=digest, revoked_at=None).first()
        if witness is None:
            nobody = Actor.anonymous(page.origin)
            log.record_alone(nobody, Act.AUTH_LOGIN, outcome="failure", reason="invalid_witness")
            raise exceptions.AuthenticationFailed("This is not the secret of a witness.")
        page.actor = Actor(
            ActorKind.SERVICE, str(witness.pk), witness.name, WITNESS, origin=page.origin
        )
        return witness, None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class WitnessScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = WitnessAuthentication
    name = "witness"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "The secret of a witness."}


class SeenSerializer(serializers.Serializer[Any]):
    """The head that was seen last, as it was signed; empty at the first time."""

    seen = serializers.CharField(allow_blank=True, max_length=MAX_NOTE, trim_whitespace=False)


class ConfirmSerializer(serializers.Serializer[Any]):
    """The three lines of a head, and the signature line of the witness."""

    head = serializers.CharField(max_length=MAX_NOTE, trim_whitespace=False)
    line = serializers.CharField(max_length=MAX_NOTE, trim_whitespace=False)


class WitnessAlarmSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=list(witnessing.KINDS))
    text = serializers.CharField(max_length=2000)
    note = serializers.CharField(
        max_length=MAX_NOTE, allow_blank=True, default="", trim_whitespace=False
    )


class HeadSerializer(serializers.Serializer[Any]):
    """The newest head; `proof` is null at the first time and across trees."""

    log = serializers.CharField()
    hash = serializers.CharField()
    checkpoint = serializers.CharField()
    keys = serializers.ListField(child=serializers.DictField())
    proof = serializers.DictField(allow_null=True)


class WitnessView(views.APIView):
    authentication_classes = (WitnessAuthentication,)

    def given(
        self, request: Request, shape: type[serializers.Serializer[Any]]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was sent, and the actor and the witness as the verbs take them."""
        serializer = shape(data=request.data)
        serializer.is_valid(raise_exception=True)
        actor = cast(PageRequest, request._request).actor
        return serializer.validated_data, {"actor": actor, "witness": request.user}


class HeadView(WitnessView):
    @extend_schema(request=SeenSerializer, responses=HeadSerializer)
    def post(self, request: Request) -> Response:
        """The newest signed head, and the proof that it extends the one that was seen."""
        given, who = self.given(request, SeenSerializer)
        return Response(asdict(actions.answer_witness(**who, seen=given["seen"])))


class ConfirmView(WitnessView):
    @extend_schema(request=ConfirmSerializer, responses={200: {"type": "object"}})
    def post(self, request: Request) -> Response:
        """Keep a cosignature (c2sp.org/tlog-cosignature)."""
        given, who = self.given(request, ConfirmSerializer)
        at = actions.confirm_head(**who, head=given["head"], line=given["line"])
        return Response({"confirmed_at": at})


class AlarmView(WitnessView):
    @extend_schema(request=WitnessAlarmSerializer, responses={200: {"type": "object"}})
    def post(self, request: Request) -> Response:
        """Say that the log is not the one that was seen."""
        given, who = self.given(request, WitnessAlarmSerializer)
        actions.report_alarm(**who, kind=given["kind"], text=given["text"], note=given["note"])
        return Response({"told": True})


urlpatterns = [
    path("head/", HeadView.as_view(), name="api-witness-head"),
    path("confirm/", ConfirmView.as_view(), name="api-witness-confirm"),
    path("alarm/", AlarmView.as_view(), name="api-witness-alarm"),
]
