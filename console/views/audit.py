"""The auditor's pages: events newest first, one in full, and export."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from access import policy
from access.errors import Invalid
from access.models import Proposal
from audit.ledger.acts import Act
from audit.ledger.models import Event
from audit.office import actions, formats, proof, retention, search
from audit.office.alarming import words
from audit.office.export import Pieces
from audit.office.filter_words import LABELS
from audit.office.filters import Filter
from audit.office.models import Case, EventNote, SavedSearch
from audit.office.reading import CATEGORY_NAMES, OUTCOME_NAMES, Reading, sentence
from console import downloads, event_filter
from console.case_forms import NoteForm
from console.htmx import render_page
from console.requests import PageRequest, act

FIRST = ("csv", "jsonl")
CASES_OFFERED = 50
# An archive is made whole before its first byte is sent: more than this is a worker's.
BUNDLE_IN_REQUEST = 50_000


def event_list(request: PageRequest) -> HttpResponse:
    """A filter that cannot be understood finds nothing: it must not look as if it had worked."""
    policy.require(request.actor, Act.AUDIT_SEARCH)
    values = event_filter.sent(request.GET)
    cases = Case.objects.filter(state="open")[:CASES_OFFERED]
    saved = SavedSearch.objects.filter(owner_id=request.user.pk)
    context: dict[str, Any] = {"formats": [f for f in formats.ALL.values() if f.name not in FIRST]}
    context |= {"cases": cases, "back": request.get_full_path()}
    context |= {"saved": [(s, urlencode(s.query)) for s in saved]}
    context |= {"categories": _categories(), "outcomes": OUTCOME_NAMES.items()}
    try:
        wanted = Filter.parse(values)
        page = actions.search(
            actor=request.actor,
            wanted=wanted,
            before=request.GET.get("before", ""),
            after=request.GET.get("after", ""),
        )
    except Invalid as error:
        label = LABELS.get(error.field, "")
        context["problem"] = {"field": error.field, "label": label, "text": str(error)}
        context["values"] = event_filter.typed(request.GET)
        return render_page(request, "audit/list.html", context, partial="events", status=422)
    active = wanted.active()
    context |= {
        "values": values | event_filter.shown(wanted),
        "page": page,
        "rows": [Reading(event) for event in page.events],
        "active": active,
        "chips": event_filter.chips(wanted),
        "limit": search.COUNT_LIMIT,
        "query": urlencode(active),
    }
    return render_page(request, "audit/list.html", context, partial="events")


def event_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    return event_page(request, pk, NoteForm())


def event_page(request: PageRequest, pk: UUID, form: NoteForm) -> HttpResponse:
    """One event in full, which is an event; `form` is the one for a note."""
    event = actions.view(actor=request.actor, pk=pk)
    reading = Reading(event)
    context = {
        "event": event,
        "reading": reading,
        "proposal": Proposal.objects.named(reading.approval.get("id", "")),
        "proof": proof.of(event),
        "notes": _notes(event),
        "inside": Case.objects.filter(items__event=pk),
        "cases": Case.objects.filter(state="open")[:CASES_OFFERED],
        "note_form": form,
        "holds": retention.holds_on(event),
        "siblings": [Reading(other) for other in search.same_request(event)],
    }
    status = 422 if form.errors else 200
    return render_page(request, "audit/detail.html", context, status=status)


@require_POST
def event_export(request: PageRequest) -> HttpResponse | StreamingHttpResponse:
    """The filtered set as a file, streamed; what would take long is handed to a worker. A failure
    in the middle breaks the download off."""
    policy.require(request.actor, Act.AUDIT_EXPORT)
    wanted = Filter.parse(request.POST.dict())
    format = request.POST.get("format", "")
    chosen = formats.ALL.get(format)
    if search.is_more_than(wanted, chosen.in_request if chosen else BUNDLE_IN_REQUEST):
        return act(
            request,
            lambda: actions.request_export(actor=request.actor, wanted=wanted, format=format),
            done=_("It is being made; you need not wait for it."),
            then=reverse("export-list"),
        )
    if format == "bundle":
        return _bundle(request, wanted)
    stream = actions.export(actor=request.actor, wanted=wanted, format=format)
    name = file_name(format, timezone.now())
    return downloads.streamed(request, stream, name, stream.content_type)


def file_name(format: str, made: datetime) -> str:
    """How an export is called: by the house's own time, ending as its format does."""
    chosen = formats.ALL.get(format)
    suffix = (chosen.suffix or chosen.name) if chosen else "zip"
    return f"fusebox-events-{timezone.localtime(made):%Y%m%d-%H%M%S}.{suffix}"


def _bundle(request: PageRequest, wanted: Filter) -> StreamingHttpResponse:
    """The evidence as one archive: made whole before its first byte is sent."""
    file = TemporaryFile()  # noqa: SIM115  closed by the response
    try:
        made = actions.export_bundle(actor=request.actor, wanted=wanted, target=file)
    except BaseException:
        file.close()
        raise
    name = f"fusebox-audit-{made.signed.tree}-{made.signed.size}.zip"
    return downloads.streamed(request, Pieces(file), name, "application/zip")


def _notes(event: Event) -> list[tuple[EventNote, str]]:
    """What auditors wrote beside an event, by their names of today."""
    notes = list(EventNote.objects.filter(event=event))
    names = words.people_named(note.author_id for note in notes)
    return [(note, names.get(note.author_id, note.author_id)) for note in notes]


def _categories() -> list[tuple[str, object, list[tuple[str, str]]]]:
    """The acts that are recorded, in groups, in words."""
    groups = groupby((a for a in Act if a.recorded), key=lambda a: a.category)
    return [
        (category, CATEGORY_NAMES[category], [(a.value, sentence(a)) for a in group])
        for category, group in groups
    ]
