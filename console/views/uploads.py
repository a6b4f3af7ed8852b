"""The page that uploads a model. Its script sends chunks to the API; without it, a plain form."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile as Sent
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from audit.ledger.acts import Act
from console.forms import UploadForm
from console.htmx import redirect
from console.requests import PageRequest, act, submit
from deployments import actions
from deployments.actions.uploads import MAX_CHUNK
from deployments.models import Operation, Upload, UploadState


def model_upload(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.MODEL_UPLOAD)
    form = UploadForm(
        request.POST or None, request.FILES or None, initial={"node": request.GET.get("node")}
    )
    if request.method == "POST":
        operation = submit(request, form, lambda values: _whole(request, values))
        if operation:
            messages.success(request, _("The files are here; the node gets them now."))
            return redirect(request, reverse("operation-detail", args=[operation.pk]))
    uploads = Upload.objects.filter(state=UploadState.OPEN).select_related("node")
    context = {"form": form, "uploads": uploads.prefetch_related("files")}
    return render(request, "models/upload.html", context, status=422 if form.errors else 200)


@require_POST
def upload_discard(request: PageRequest, pk: UUID) -> HttpResponse:
    upload = policy.get_for(request.actor, Act.MODEL_UPLOAD, Upload.objects.all(), pk)
    return act(
        request,
        lambda: actions.discard_upload(actor=request.actor, upload=upload),
        done=_("The upload is discarded."),
        then=reverse("model-upload"),
    )


def _whole(request: PageRequest, values: dict[str, Any]) -> Operation:
    """All of it in one request, for browsers without scripts."""
    sent = {
        cast(str, f.name): f for f in cast("list[Sent[Any]]", request.FILES.getlist("model_files"))
    }
    sha256 = values["sha256"] if len(sent) == 1 else ""
    upload = actions.begin_upload(
        actor=request.actor,
        node=values["node"],
        name=values["name"],
        files=[{"name": n, "size": f.size, "sha256": sha256} for n, f in sent.items()],
        quantize=values["quantize"],
        base=values["base"],
    )
    for file in upload.files.all():
        for chunk in sent[file.name].chunks(MAX_CHUNK):
            file = actions.append(  # noqa: PLW2901  the row moves on with each chunk
                actor=request.actor, file=file, offset=file.received, chunk=chunk
            )
    return actions.finish_upload(actor=request.actor, upload=upload)
