"""Long work as JSON: progress, cancel, retry."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy
from audit.ledger.acts import Act
from console.api.deployments import ActsViewSet, OperationSerializer, accepted
from console.api.idempotency import idempotent
from deployments import actions
from deployments.models import Operation


class OperationViewSet(ActsViewSet):
    """Long work: progress, cancel, retry."""

    view_act = Act.OPERATION_VIEW
    queryset = Operation.objects.all()
    serializer_class = OperationSerializer
    filterset_fields: ClassVar = ["kind", "state", "node", "deployment"]

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Ask for a stop; `is_stopping` until the node really has."""
        operation = policy.get_for(self.actor, Act.OPERATION_CANCEL, Operation.objects.all(), pk)
        return accepted(actions.cancel_operation(actor=self.actor, operation=operation))

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def retry(self, request: Request, pk: str) -> Response:
        """Do it again, as a new operation; what a node has already is kept."""
        operation = policy.get_for(self.actor, Act.OPERATION_RETRY, Operation.objects.all(), pk)
        return accepted(actions.retry_operation(actor=self.actor, operation=operation))
