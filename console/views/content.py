"""Break-glass pages: ask to read, what is open, and the reading itself until its time is over."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from access import policy
from access.models import Proposal, User
from audit.ledger.acts import Act
from audit.office import actions
from audit.office.actions.content import Wish
from audit.office.models import CapturePolicy, Opening
from console.content_forms import OpeningForm
from console.htmx import redirect
from console.requests import PageRequest, act, submit

SHOWN = 50


def opening_list(request: PageRequest) -> HttpResponse:
    """Who may read what until when, and who could."""
    policy.require(request.actor, Act.CONTENT_CLOSE)
    rows = list(Opening.objects.all()[:SHOWN])
    ids = {row.reader_id for row in rows} | {row.approver_id for row in rows if row.approver_id}
    context = {"openings": rows, "people": User.objects.in_bulk(list(ids))}
    return render(request, "content/list.html", context)


def opening_request(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.CONTENT_OPEN)
    known = dict(CapturePolicy.objects.values_list("deployment_id", "deployment_name"))
    form = OpeningForm(request.POST or None, initial=_initial(request))
    choice = form.fields["deployment"]
    assert isinstance(choice, forms.ChoiceField)  # noqa: S101  for the type checker
    choice.choices = [(str(pk), name) for pk, name in known.items()]
    if request.method == "POST":
        asked = submit(request, form, lambda given: _ask(request, form, known))
        if asked:
            messages.success(request, _("Asked for. It opens when a second person agrees."))
            return redirect(request, reverse("opening-list"))
    context = {"form": form, "known": known}
    return render(request, "content/form.html", context, status=422 if form.errors else 200)


def _initial(request: PageRequest) -> dict[str, object]:
    now = timezone.localtime()
    times = {"start": now - timedelta(days=1), "end": now}
    given = {name: request.GET[name] for name in ("deployment", "person") if name in request.GET}
    return {**{name: f"{moment:%Y-%m-%dT%H:%M}" for name, moment in times.items()}, **given}


def _ask(request: PageRequest, form: OpeningForm, known: dict[UUID, str]) -> Proposal:
    given = form.cleaned_data
    deployment = UUID(given["deployment"])
    wish = Wish(
        deployment, known[deployment], given["start"], given["end"], given["minutes"],
        given["person"],
    )  # fmt: skip
    return actions.request_opening(actor=request.actor, wish=wish, reason=given["reason"])


@never_cache
def opening_detail(request: PageRequest, pk: UUID) -> HttpResponse:
    """What there is to read under one opening; the page asks again when its time is over."""
    opening = policy.get_for(request.actor, Act.CONTENT_LIST, Opening.objects.all(), pk)
    rows = actions.list_content(actor=request.actor, opening=opening)
    people = User.objects.in_bulk([row.person_id for row in rows])
    context = {
        "opening": opening,
        "rows": [(row, people.get(row.person_id)) for row in rows],
        "seconds": _seconds_left(opening),
    }
    return render(request, "content/detail.html", context)


@never_cache
def content_view(request: PageRequest, pk: UUID, content_pk: UUID) -> HttpResponse:
    """The words. The page reloads itself when the time is over, and then they are gone."""
    opening = policy.get_for(request.actor, Act.CONTENT_VIEW, Opening.objects.all(), pk)
    content, words = actions.view_content(actor=request.actor, opening=opening, pk=content_pk)
    context = {
        "opening": opening,
        "content": content,
        "words": words,
        "person": User.objects.filter(pk=content.person_id).first(),
        "seconds": _seconds_left(opening),
    }
    return render(request, "content/words.html", context)


@require_POST
def opening_close(request: PageRequest, pk: UUID) -> HttpResponse:
    opening = policy.get_for(request.actor, Act.CONTENT_CLOSE, Opening.objects.all(), pk)
    return act(
        request,
        lambda: actions.close_opening(actor=request.actor, opening=opening),
        done=_("Closed. Nothing of it can be read any more."),
        then=reverse("opening-list"),
    )


def _seconds_left(opening: Opening) -> int:
    return max(1, int((opening.until - timezone.now()).total_seconds()) + 1)
