"""The page on which the erasure of a person is asked for."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from access import policy
from access.models import User
from audit.ledger.acts import Act
from audit.office import actions
from audit.office.models import Erasure
from console.content_forms import ErasureForm
from console.htmx import redirect
from console.requests import PageRequest, submit


def user_erase(request: PageRequest, pk: UUID) -> HttpResponse:
    person = policy.get_for(request.actor, Act.USER_ERASE, User.objects.people(), pk)
    form = ErasureForm(request.POST or None)
    if request.method == "POST":
        asked = submit(
            request,
            form,
            lambda given: actions.request_erasure(actor=request.actor, person=person, **given),
        )
        if asked:
            messages.success(request, _("Asked for. It is done when a second person agrees."))
            return redirect(request, reverse("user-detail", args=[pk]))
    context = {
        "form": form,
        "person": person,
        "erasure": Erasure.objects.filter(person_id=pk).first(),
    }
    return render(request, "people/erase.html", context, status=422 if form.errors else 200)
