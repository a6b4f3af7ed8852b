"""Pages of cases, and notes beside events."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from access import policy
from access.errors import Invalid
from audit.ledger.acts import Act
from audit.ledger.models import Event
from audit.office import actions
from audit.office.alarming import words
from audit.office.models import Case
from audit.office.reading import Reading
from console.case_forms import CaseForm, NoteForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from console.views.audit import event_page

SHOWN = 100
CASES_SHOWN = 100


def case_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.CASE_VIEW)
    cases = list(Case.objects.all()[:CASES_SHOWN])
    names = words.people_named(case.author_id for case in cases)
    rows = [(case, names.get(case.author_id, case.author_id), case.items.count()) for case in cases]
    return render_page(request, "cases/list.html", {"rows": rows})


def case_open(request: PageRequest) -> HttpResponse:
    """A new case; what was chosen on the events' page comes with it."""
    policy.require(request.actor, Act.CASE_OPEN)
    form = CaseForm(request.POST or None)
    if request.method == "POST":
        verb = partial(actions.open_case, actor=request.actor)
        if case := submit(request, form, lambda given: verb(**given)):
            return redirect(request, reverse("case-detail", args=[case.pk]))
    return render(request, "cases/form.html", {"form": form}, status=422 if form.errors else 200)


def case_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    """What it collects, and what was written on it. Its events are shown by the case: that is an
    event of opening, as a search is."""
    case = policy.get_for(request.actor, Act.CASE_VIEW, Case.objects.all(), pk)
    return _page(request, case, NoteForm())


def _page(request: PageRequest, case: Case, form: NoteForm) -> HttpResponse:
    ids = case.items.order_by("-event_id").values_list("event_id", flat=True)[:SHOWN]
    events = Event.objects.filter(pk__in=list(ids)).select_related("personal").order_by("-id")
    notes = list(case.notes.all())
    names = words.people_named([case.author_id, *(note.author_id for note in notes)])
    context = {
        "case": case,
        "author": names.get(case.author_id, case.author_id),
        "count": case.items.count(),
        "rows": [Reading(event) for event in events],
        "notes": [(note, names.get(note.author_id, note.author_id)) for note in notes],
        "form": form,
    }
    status = 422 if form.errors else 200
    return render_page(request, "cases/detail.html", context, status=status)


@require_POST
def case_add(request: PageRequest) -> HttpResponse:
    """Add the events that were chosen, to a case that is there or to a new one."""
    policy.require(request.actor, Act.CASE_ADD)
    back = request.POST.get("back", "")
    then = back if back.startswith("/audit/") else reverse("event-list")

    def add() -> int:
        events = [_uuid(text) for text in request.POST.getlist("event")]
        if not events:
            raise Invalid(_("Choose between 1 and 200 events."), field="events")
        case = _case(request)
        return actions.add_to_case(actor=request.actor, case=case, events=events)

    count = len(request.POST.getlist("event"))
    told = ngettext("%(count)d event is in the case.", "%(count)d events are in the case.", count)
    return act(request, add, done=told % {"count": count}, then=then)


def _case(request: PageRequest) -> Case:
    if title := request.POST.get("title", "").strip():
        return actions.open_case(actor=request.actor, title=title)
    pk = request.POST.get("case", "")
    if not pk:
        raise Invalid(_("Choose a case, or give a new one a title."), field="case")
    return policy.get_for(request.actor, Act.CASE_ADD, Case.objects.all(), pk)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid(_("There is no such event."), field="events") from error


@require_POST
def case_take(request: PageRequest, pk: UUID) -> HttpResponse:
    case = policy.get_for(request.actor, Act.CASE_TAKE, Case.objects.all(), pk)
    return act(
        request,
        lambda: actions.take_from_case(
            actor=request.actor, case=case, event=_uuid(request.POST.get("event", ""))
        ),
        done=_("The event is taken out of the case; the log keeps that it was there."),
        then=reverse("case-detail", args=[pk]),
    )


@require_POST
def case_note(request: PageRequest, pk: UUID) -> HttpResponse:
    """What cannot be kept as it is stands in the form again, to be shortened."""
    case = policy.get_for(request.actor, Act.CASE_NOTE, Case.objects.all(), pk)
    verb = partial(actions.note_case, actor=request.actor, case=case)
    then = reverse("case-detail", args=[pk])
    return _write(request, verb, lambda form: _page(request, case, form), then)


@require_POST
def case_close(request: PageRequest, pk: UUID) -> HttpResponse:
    case = policy.get_for(request.actor, Act.CASE_CLOSE, Case.objects.all(), pk)
    return act(
        request,
        lambda: actions.close_case(actor=request.actor, case=case),
        done=_("The case is closed."),
        then=reverse("case-detail", args=[pk]),
    )


@require_POST
def case_reopen(request: PageRequest, pk: UUID) -> HttpResponse:
    case = policy.get_for(request.actor, Act.CASE_REOPEN, Case.objects.all(), pk)
    return act(
        request,
        lambda: actions.reopen_case(actor=request.actor, case=case),
        done=_("The case is open again."),
        then=reverse("case-detail", args=[pk]),
    )


@require_POST
def event_note(request: PageRequest, pk: UUID) -> HttpResponse:
    """Write a note beside an event; one that cannot be kept stands in the form again."""
    policy.require(request.actor, Act.AUDIT_NOTE, pk)
    verb = partial(actions.note_event, actor=request.actor, event=pk)
    then = reverse("event-detail", args=[pk])
    return _write(request, verb, lambda form: event_page(request, pk, form), then)


def _write(
    request: PageRequest,
    verb: Callable[..., object],
    again: Callable[[NoteForm], HttpResponse],
    then: str,
) -> HttpResponse:
    """A note by `verb`; one that cannot be kept is shown `again`, in its form."""
    form = NoteForm(request.POST)
    if submit(request, form, lambda given: verb(**given)) is None:
        return again(form)
    messages.success(request, _("The note is written."))
    return redirect(request, then)
