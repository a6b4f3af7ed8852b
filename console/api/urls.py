"""URLs of the management API and its documents."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.routers import SimpleRouter

from console.api import (
    alarms,
    cases,
    documents,
    fleet,
    models,
    nodes,
    operations,
    proposals,
    retention,
    scenarios,
)
from console.api.content import CaptureViewSet, ErasureViewSet, OpeningViewSet

router = SimpleRouter(use_regex_path=False)
router.register("nodes", nodes.NodeViewSet, basename="api-node")
router.register("models", models.ModelViewSet, basename="api-model")
router.register("copies", models.CopyViewSet, basename="api-copy")
router.register("uploads", models.UploadViewSet, basename="api-upload")
router.register("deployments", fleet.DeploymentViewSet, basename="api-deployment")
router.register("scenarios", scenarios.ScenarioViewSet, basename="api-scenario")
router.register("proposals", proposals.ProposalViewSet, basename="api-proposal")
router.register("documents", documents.DocumentViewSet, basename="api-document")
router.register("retention", retention.RetentionViewSet, basename="api-retention")
router.register("holds", retention.HoldViewSet, basename="api-hold")
router.register("operations", operations.OperationViewSet, basename="api-operation")
router.register("captures", CaptureViewSet, basename="api-capture")
router.register("openings", OpeningViewSet, basename="api-opening")
router.register("erasures", ErasureViewSet, basename="api-erasure")
router.register("alarms", alarms.AlarmViewSet, basename="api-alarm")
router.register("alarm-rules", alarms.RuleViewSet, basename="api-rule")
router.register("alarm-receivers", alarms.ChannelViewSet, basename="api-channel")
router.register("cases", cases.CaseViewSet, basename="api-case")

schema = SpectacularAPIView.as_view(permission_classes=[AllowAny])
docs = SpectacularSwaggerSplitView.as_view(url_name="api-schema", permission_classes=[AllowAny])

urlpatterns = [
    path("witness/", include("console.api.witness")),
    path("schema/", login_not_required(schema), name="api-schema"),
    path("docs/", login_not_required(docs), name="api-docs"),
    path("", include(router.urls)),
]
