"""The request as views see it, and the one way in which a view calls a verb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise

from access import policy
from access.errors import Denied, Missing, Refusal
from access.models import User
from audit.ledger.acts import Act
from console.htmx import redirect

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails

    from audit.ledger.actor import Actor, Origin

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """A verb that was permitted and refused: recorded once everything rolled back."""

    act: Act
    reason: str


class PageRequest(HttpRequest):
    """What our middleware adds to Django's request."""

    user: User
    actor: Actor
    origin: Origin
    denials: list[Denied]
    failures: list[Failure]
    htmx: HtmxDetails


def failed(request: PageRequest, error: Refusal) -> None:
    """Note what was tried in vain, under the act that was asked for last."""
    if asked := policy.last_asked():
        request.failures.append(Failure(asked, f"{error.code} {error.field}".strip()))


def act(
    request: PageRequest, verb: Callable[[], object], *, done: str | Promise, then: str
) -> HttpResponse:
    """Call a verb, say how it went, go to `then`. Denials and missing things become their pages."""
    try:
        verb()
    except (Denied, Missing):
        raise
    except Refusal as error:
        failed(request, error)
        messages.error(request, str(error))
    else:
        messages.success(request, str(done))
    return redirect(request, then)


def submit(request: PageRequest, form: Form, verb: Callable[[dict[str, Any]], T]) -> T | None:
    """Call a verb with the form's values; what it refuses appears beside the field."""
    if not form.is_valid():
        return None
    try:
        return verb(form.cleaned_data)
    except (Denied, Missing):
        raise
    except Refusal as error:
        failed(request, error)
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return None
