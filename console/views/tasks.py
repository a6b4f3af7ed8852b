"""Tasks: many texts through one deployment, each an inference like any other, to one table.

The table lives in the page. Rows go through the gateway's pipeline one by one; nothing is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from access.errors import Invalid
from audit.ledger.acts import Act
from audit.office.content.terms import in_force
from console import downloads, notices, sheets, task_shape, task_words
from console.requests import PageRequest
from deployments import scenarios
from deployments.documents import words as document_words
from deployments.documents.kinds import SUFFIXES
from deployments.models import Deployment
from gateway import runtime, tasks
from gateway.wire.openai import ApiError
from gateway.wire.tasks import parse_task

MOST_ROWS = 500
AT_ONCE = 3
MOST_SHEET_BYTES = 16 * 1024 * 1024
# A proxy that hears nothing for a minute gives up; JSON may begin with spaces.
STILL_HERE_S = 15.0
SHEETS = {
    "csv": (sheets.as_csv, "text/csv; charset=utf-8"),
    "xlsx": (
        sheets.as_xlsx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
}


def task_list(request: PageRequest) -> HttpResponse:
    granted = policy.granted_deployment_ids(request.actor)
    rows = Deployment.objects.live().filter(pk__in=granted).select_related("current__model")
    found = [(d, _title(d)) for d in rows if task_shape.is_task(d.current)]
    return render(request, "tasks/list.html", {"tasks": found})


def deployment_task(request: PageRequest, pk: UUID) -> HttpResponse:
    """The page on which texts become a table."""
    deployment = _granted(request, pk)
    revision = deployment.current
    context = {
        "deployment": deployment,
        "title": _title(deployment),
        "kept": in_force(deployment.pk),
        "public_url": settings.FUSEBOX_PUBLIC_URL,
        "suffixes": ",".join(SUFFIXES),
        "limits": {**document_words.limits(), "rows": MOST_ROWS},
        "setup": {
            "columns": task_shape.columns(revision.schema if revision else None),
            "room": task_shape.room(revision) if revision else 0,
            "mostRows": MOST_ROWS,
            "mostMb": document_words.limits()["most_mb"],
            "atOnce": AT_ONCE,
            "words": task_words.of_page(),
        },
    }
    return render(request, "tasks/task.html", context)


@require_POST
def deployment_task_run(request: PageRequest, pk: UUID) -> HttpResponseBase:
    """Answer one row. The status is 200 in any case, because it goes out before the answer is
    there; an error is told as {"error": …}."""
    deployment = _granted(request, pk)
    language = get_language() or "en"
    if unread := notices.unread(deployment.pk, request.headers.get(notices.HEADER)):
        return HttpResponse(_told(unread, language), content_type="application/json")
    try:
        asked = parse_task(request.body, deployment.name)
    except ApiError as error:
        return HttpResponse(_told(error, language), content_type="application/json")

    async def answered() -> bytes:
        try:
            return await tasks.run(runtime.current(), request.actor, asked, via="task")
        except ApiError as error:
            return _told(error, language)

    return StreamingHttpResponse(
        _kept_open(answered()),
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _kept_open(work: Any) -> AsyncIterator[bytes]:
    """A space now and then until the answer is there. Whoever goes away stops the work."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=STILL_HERE_S)
            if not task.done():
                yield b" "
        yield task.result()
    finally:
        task.cancel()


def _told(error: ApiError, language: str) -> bytes:
    shape = error.shape()
    with translation.override(language):
        return orjson.dumps({"error": {**shape, "words": task_words.said(shape)}})


@require_POST
def task_sheet(request: PageRequest) -> HttpResponse:
    """The page's table as a file; it is sent here and back, because spreadsheets are made here."""
    policy.require(request.actor, Act.DEPLOYMENT_USE)
    kind, rows = _table(request.read(MOST_SHEET_BYTES + 1))
    make, content_type = SHEETS[kind]
    name = f"fusebox-task.{kind}"
    return HttpResponse(make(rows), content_type=content_type, headers=downloads.headers(name))


def _table(body: bytes) -> tuple[str, list[list[str]]]:
    if len(body) > MOST_SHEET_BYTES:
        raise Invalid(_("The table is too large for one file."))
    try:
        given = orjson.loads(body)
        kind, rows = given["format"], given["rows"]
        whole = all(isinstance(cell, str) for row in rows for cell in row)
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Invalid(_("This is no table.")) from error
    if kind not in SHEETS or not whole or not 0 < len(rows) <= MOST_ROWS + 1:
        raise Invalid(_("This is no table."))
    return kind, rows


def _granted(request: PageRequest, pk: UUID) -> Deployment:
    rows = Deployment.objects.present().select_related("current__model")
    deployment = policy.get_for(request.actor, Act.DEPLOYMENT_USE, rows, pk)
    policy.require(request.actor, Act.DEPLOYMENT_USE, pk, deployment_id=deployment.pk)
    return deployment


def _title(deployment: Deployment) -> str:
    """The scenario's title in the reader's language, where there is one."""
    key = deployment.current.scenario if deployment.current else ""
    scenario = scenarios.get(key) if key else None
    if scenario is None:
        return ""
    return scenario.text("zh" if (get_language() or "").startswith("zh") else "en").title
