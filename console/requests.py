"""The request as views see it, and the one way in which a view calls a verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise

from access.errors import Denied, Missing, Refusal
from access.models import User
from console.htmx import redirect

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails

    from audit.ledger.actor import Actor, Origin

T = TypeVar("T")


class PageRequest(HttpRequest):
    """What our middleware adds to Django's request."""

    user: User
    actor: Actor
    origin: Origin
    denials: list[Denied]
    htmx: HtmxDetails


def act(
    request: PageRequest, verb: Callable[[], object], *, done: str | Promise, then: str
) -> HttpResponse:
    """Call a verb, say how it went, go to `then`. Denials and missing things become their pages."""
    try:
        verb()
    except (Denied, Missing):
        raise
    except Refusal as error:
        messages.error(request, str(error))
    else:
        messages.success(request, str(done))
    return redirect(request, then)


def submit(form: Form, verb: Callable[[dict[str, Any]], T]) -> T | None:
    """Call a verb with the form's values; what it refuses appears beside the field."""
    if not form.is_valid():
        return None
    try:
        return verb(form.cleaned_data)
    except (Denied, Missing):
        raise
    except Refusal as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return None
