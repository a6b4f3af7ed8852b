"""Nodes as JSON: the same verbs as the pages."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy
from audit.ledger.acts import Act
from console.api.deployments import ActsViewSet, SentenceField, valid
from console.api.idempotency import idempotent
from deployments import actions, alarming, attest
from deployments.models import Node


class NodeSerializer(serializers.ModelSerializer[Node]):
    """A node as it was seen last. Of headers and keys only that there are some."""

    problem = SentenceField()
    machine = serializers.SerializerMethodField()
    closed = serializers.SerializerMethodField()
    alarms = serializers.SerializerMethodField()
    has_secrets = serializers.SerializerMethodField()
    keeps_no_requests = serializers.SerializerMethodField()

    class Meta:
        model = Node
        fields: ClassVar = [
            "id",
            "name",
            "url",
            "labels",
            "duty",
            "status",
            "problem",
            "alarms",
            "version",
            "closed",
            "has_secrets",
            "keeps_no_requests",
            "request_log_off",
            "server",
            "loaded",
            "tags",
            "memory_bytes",
            "memory_declared",
            "capacity_bytes",
            "exporter_url",
            "machine",
            "proof_ms",
            "proved_at",
            "checked_at",
            "seen_at",
            "created_at",
        ]
        read_only_fields: ClassVar = fields

    def get_machine(self, node: Node) -> dict[str, Any]:
        """What its exporter said, or why there is nothing."""
        if problem := node.machine_problem:
            return {**node.machine, "problem": str(problem)}
        return node.machine  # type: ignore[no-any-return]

    def get_alarms(self, node: Node) -> list[dict[str, str]]:
        """Those that are open; /api/v1/alarms/ has them in full."""
        return [
            {"id": str(a.pk), "kind": a.rule, "subject": a.part, "at": a.opened_at.isoformat()}
            for a in alarming.open_about([node])
        ]

    def get_closed(self, node: Node) -> bool | None:
        return attest.is_closed(node)

    def get_has_secrets(self, node: Node) -> bool:
        return bool(node.sealed)

    def get_keeps_no_requests(self, node: Node) -> bool | None:
        return attest.keeps_no_requests(node)


class ServerSerializer(serializers.Serializer[Any]):
    """How its Ollama is set, which it does not tell: OLLAMA_NUM_PARALLEL, OLLAMA_KV_CACHE_TYPE and
    OLLAMA_MAX_LOADED_MODELS."""

    parallel = serializers.IntegerField(required=False, allow_null=True)
    cache_type = serializers.CharField(max_length=8, required=False, allow_blank=True)
    at_once = serializers.IntegerField(required=False, allow_null=True)


class NodeFieldsSerializer(serializers.Serializer[Any]):
    """What adding or changing a node takes."""

    name = serializers.CharField(max_length=63)
    url = serializers.CharField(max_length=300)
    labels = serializers.ListField(child=serializers.CharField(max_length=63), required=False)
    memory_declared = serializers.IntegerField(required=False, allow_null=True)
    exporter_url = serializers.CharField(max_length=300, required=False, allow_blank=True)
    request_log_off = serializers.BooleanField(required=False)
    server = ServerSerializer(required=False)
    headers = serializers.DictField(child=serializers.CharField(max_length=2000), required=False)
    ca = serializers.CharField(required=False, allow_blank=True)
    client_certificate = serializers.CharField(required=False, allow_blank=True)
    client_key = serializers.CharField(required=False, allow_blank=True)


class NodeViewSet(ActsViewSet):
    """Machines that run Ollama."""

    view_act = Act.NODE_VIEW
    queryset = Node.objects.all()
    serializer_class = NodeSerializer
    filterset_fields: ClassVar = ["name", "status", "duty"]

    @extend_schema(request=NodeFieldsSerializer, responses={201: NodeSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """Add a node after it has answered as Ollama does."""
        policy.require(self.actor, Act.NODE_REGISTER)
        data = valid(NodeFieldsSerializer(data=request.data))
        node = actions.register_node(actor=self.actor, **data)
        return Response(NodeSerializer(node).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=NodeFieldsSerializer, responses={200: NodeSerializer})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is given; the rest stays."""
        node = policy.get_for(self.actor, Act.NODE_UPDATE, Node.objects.all(), pk)
        data = valid(NodeFieldsSerializer(data=request.data, partial=True))
        changed = actions.update_node(actor=self.actor, node=node, **data)
        return Response(NodeSerializer(changed).data)

    def destroy(self, request: Request, pk: str) -> Response:
        """Forget a node; nothing on it is touched."""
        node = policy.get_for(self.actor, Act.NODE_REMOVE, Node.objects.all(), pk)
        actions.remove_node(actor=self.actor, node=node)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={200: NodeSerializer})
    @action(detail=True, methods=["post"])
    def cordon(self, request: Request, pk: str) -> Response:
        """No new replicas come to it."""
        node = policy.get_for(self.actor, Act.NODE_CORDON, Node.objects.all(), pk)
        return Response(NodeSerializer(actions.cordon(actor=self.actor, node=node)).data)

    @extend_schema(request=None, responses={200: NodeSerializer})
    @action(detail=True, methods=["post"])
    def uncordon(self, request: Request, pk: str) -> Response:
        """It takes replicas again."""
        node = policy.get_for(self.actor, Act.NODE_UNCORDON, Node.objects.all(), pk)
        return Response(NodeSerializer(actions.uncordon(actor=self.actor, node=node)).data)

    @extend_schema(request=None, responses={200: NodeSerializer})
    @action(detail=True, methods=["post"])
    def refresh(self, request: Request, pk: str) -> Response:
        """Ask it now instead of at the next round: what it stores, and a real answer."""
        node = policy.get_for(self.actor, Act.NODE_REFRESH, Node.objects.all(), pk)
        return Response(NodeSerializer(actions.refresh_node(actor=self.actor, node=node)).data)

    @extend_schema(request=None, responses={200: NodeSerializer})
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str) -> Response:
        """Move its replicas elsewhere."""
        node = policy.get_for(self.actor, Act.NODE_DRAIN, Node.objects.all(), pk)
        return Response(NodeSerializer(actions.drain(actor=self.actor, node=node)).data)
