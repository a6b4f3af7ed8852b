"""Exports that a worker makes: how far they are, fetch one, cancel one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from access.errors import Invalid
from audit.ledger.acts import Act
from audit.office import actions, formats
from audit.office.export import Pieces
from audit.office.filters import Filter
from audit.office.models import Export
from console import downloads
from console.event_filter import chips
from console.htmx import render_page
from console.requests import PageRequest, act
from console.views.audit import file_name

SHOWN = 50


def export_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.AUDIT_EXPORT)
    rows = list(Export.objects.all()[:SHOWN])
    context = {
        "rows": [(row, _title(row), _chips(row)) for row in rows],
        "live": any(not row.is_final for row in rows),
    }
    return render_page(request, "audit/exports.html", context, partial="exports")


@require_POST
def export_cancel(request: PageRequest, pk: UUID) -> HttpResponse:
    export = policy.get_for(request.actor, Act.AUDIT_CANCEL_EXPORT, Export.objects.all(), pk)
    return act(
        request,
        lambda: actions.cancel_export(actor=request.actor, export=export),
        done=_("The export is being cancelled."),
        then=reverse("export-list"),
    )


@require_POST
def export_fetch(request: PageRequest, pk: UUID) -> StreamingHttpResponse:
    """The file. Fetching is a POST: it leaves an event."""
    export = policy.get_for(request.actor, Act.AUDIT_FETCH_EXPORT, Export.objects.all(), pk)
    path = actions.fetch_export(actor=request.actor, export=export)
    chosen = formats.ALL.get(export.format)
    return downloads.streamed(
        request,
        Pieces(path.open("rb")),
        file_name(export.format, export.created_at),
        chosen.content_type if chosen else "application/zip",
        size=export.size,
    )


def _chips(export: Export) -> list[dict[str, Any]]:
    """Its filter in words; none for one that no filter can be any more."""
    try:
        return chips(Filter.parse(export.query))
    except Invalid:
        return []


def _title(export: Export) -> str:
    chosen = formats.ALL.get(export.format)
    return chosen.title if chosen else _("Evidence archive")
