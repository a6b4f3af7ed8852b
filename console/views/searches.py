"""Saved searches, and the counts over time that are drawn above the events."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from audit.ledger.acts import Act
from audit.office import actions
from audit.office.filters import Filter
from audit.office.models import SavedSearch
from audit.office.visible import visible
from console.requests import PageRequest, act


def event_counts(request: PageRequest) -> JsonResponse:
    """Bars for the chart: seconds since 1970 at which each begins, and its number of events."""
    policy.require(request.actor, Act.AUDIT_SEARCH)
    wanted = Filter.parse(request.GET.dict())
    found = actions.search_counts(actor=request.actor, wanted=wanted)
    return JsonResponse(
        {
            "width_s": int(found.width.total_seconds()),
            "starts": [int(start.timestamp()) for start in found.starts],
            "counts": found.counts,
            "capped": found.capped,
        }
    )


@require_POST
def search_save(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.AUDIT_SAVE_SEARCH)
    wanted = Filter.parse(request.POST.dict())
    name = request.POST.get("name", "")
    known = SavedSearch.objects.filter(owner_id=request.user.pk)
    replaced = "\x00" not in name and known.filter(name=name.strip()).exists()
    return act(
        request,
        lambda: actions.save_search(actor=request.actor, name=name, wanted=wanted),
        done=_("The search is saved in place of the one that had this name.")
        if replaced
        else _("The search is saved."),
        then=f"{reverse('event-list')}?{urlencode(wanted.active())}",
    )


def search_delete(request: PageRequest, pk: UUID) -> HttpResponse:
    mine = SavedSearch.objects.filter(owner_id=request.user.pk)
    search = policy.get_for(request.actor, Act.AUDIT_DELETE_SEARCH, mine, pk)
    if request.method != "POST":
        context = {
            "title": _("Delete the saved search %(name)s?") % {"name": visible(search.name)},
            "consequences": [_("Only the filter goes. The events that it finds stay.")],
            "verb": _("Delete it"),
            "cancel_url": reverse("event-list"),
        }
        return render(request, "confirm.html", context)
    return act(
        request,
        lambda: actions.delete_search(actor=request.actor, search=search),
        done=_("The saved search is deleted."),
        then=reverse("event-list"),
    )
