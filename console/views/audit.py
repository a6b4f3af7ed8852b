"""The auditor's pages: events newest first, one in full, and export."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from access.errors import Invalid
from audit.ledger.acts import REGISTRY, Act
from audit.ledger.event import OUTCOMES
from audit.ledger.models import Event
from audit.office import actions
from audit.office.export import personal_of, sentence
from audit.office.search import Filter
from console.htmx import render_page
from console.requests import PageRequest

LABELS = {
    "person": _("Person"), "act": _("Action"), "object": _("Object"), "deployment": _("Deployment"),
    "outcome": _("Outcome"), "request": _("Request id"), "address": _("Address"),
    "start": _("From"), "end": _("To"),
}  # fmt: skip
OUTCOME_NAMES = {
    "success": _("success"), "failure": _("failure"), "denied": _("denied"), "error": _("error"),
    "aborted": _("aborted"),
}  # fmt: skip


def event_list(request: PageRequest) -> HttpResponse:
    values = request.GET.dict()
    errors = {}
    try:
        wanted = Filter.parse(values)
    except Invalid as error:
        wanted, errors = Filter(), {error.field: str(error)}
    page = actions.search(
        actor=request.actor,
        wanted=wanted,
        before=values.get("before", ""),
        after=values.get("after", ""),
    )
    active = wanted.active()
    context = {
        "page": page,
        "rows": [shown(event) for event in page.events],
        "values": values if errors else active,
        "errors": errors,
        "chips": [_chip(active, name) for name in active],
        "query": urlencode(active),
        "categories": _categories(),
        "outcomes": [(o, OUTCOME_NAMES[o]) for o in OUTCOMES],
    }
    status = 422 if errors else 200
    return render_page(request, "audit/list.html", context, partial="events", status=status)


def event_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    event = actions.view(actor=request.actor, pk=pk)
    leaf = json.loads(bytes(event.leaf))
    same = Event.objects.filter(request_id=event.request_id).select_related("personal")
    context = {
        "event": shown(event),
        "leaf": leaf,
        "pretty": json.dumps(leaf, indent=2, ensure_ascii=False),
        "raw": bytes(event.leaf).decode(),
        "hash": bytes(event.leaf_hash).hex(),
        "changes": _changes(leaf, personal_of(event)),
        "objects": _objects(leaf, personal_of(event)),
        "personal": personal_of(event),
        "siblings": [shown(e) for e in same.order_by("id")[:50]] if event.request_id else [],
    }
    return render_page(request, "audit/detail.html", context)


@require_POST
def event_export(request: PageRequest) -> HttpResponseBase:
    """The filtered set as a file, streamed. A break in the middle breaks the download."""
    wanted = Filter.parse(request.POST.dict())
    export = actions.export(
        actor=request.actor, wanted=wanted, format=request.POST.get("format", "")
    )
    name = f"fusebox-events-{timezone.localtime():%Y%m%d-%H%M%S}.{export.format}"
    return StreamingHttpResponse(
        _in_threads(export.chunks),
        content_type=export.content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )


def _next(chunks: Iterator[bytes]) -> bytes | None:
    return next(chunks, None)


async def _in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """A generator that asks the database, drawn from the event loop without blocking it."""
    try:
        while (chunk := await sync_to_async(_next)(chunks)) is not None:
            yield chunk
    finally:
        await sync_to_async(connection.close)()


def shown(event: Event) -> dict[str, Any]:
    """An event as list and detail show it."""
    leaf = json.loads(bytes(event.leaf))
    personal = personal_of(event)
    return {
        "pk": event.pk,
        "at": event.at,
        "act": event.act,
        "sentence": sentence(event.act),
        "outcome": event.outcome,
        "outcome_name": OUTCOME_NAMES[event.outcome],
        "reason": leaf.get("reason", ""),
        "who": personal.get("actor.name") or leaf["actor"].get("name", ""),
        "actor_id": event.actor_id,
        "actor_kind": event.actor_kind,
        "object": event.object_label or personal.get("obj.0.label", ""),
        "object_type": event.object_type,
        "object_id": event.object_id,
        "request_id": event.request_id,
        "use": leaf.get("use", {}),
    }


def _objects(leaf: dict[str, Any], personal: dict[str, str]) -> list[dict[str, str]]:
    return [
        {**obj, "label": obj.get("label") or personal.get(f"obj.{i}.label", "")}
        for i, obj in enumerate(leaf["obj"])
    ]


def _changes(leaf: dict[str, Any], personal: dict[str, str]) -> list[dict[str, Any]]:
    """Before and after; values that are committed to only are opened while they are kept."""
    found = []
    for change in leaf.get("chg", []):
        name = change["field"]
        sides = {
            side: change.get(side, personal.get(f"chg.{name}.{side}")) for side in ("old", "new")
        }
        found.append({"field": name, **sides})
    return found


def _chip(active: dict[str, str], name: str) -> dict[str, Any]:
    """A filter in force, and the address of the page without it."""
    rest = {k: v for k, v in active.items() if k != name}
    return {"label": LABELS[name], "value": active[name], "without": urlencode(rest)}


def _categories() -> list[tuple[str, list[tuple[str, object]]]]:
    """The acts that are recorded, grouped."""
    acts = [a for a in Act if REGISTRY[a].recorded]
    return [
        (category, [(a.value, a.sentence) for a in group])
        for category, group in groupby(acts, key=lambda a: a.category)
    ]
