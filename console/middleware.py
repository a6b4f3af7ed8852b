"""What happens around every page: who asks, from where, and denials after the rollback."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import Resolver404, resolve

from access.errors import Denied
from access.models import User
from access.policy import actor_for
from audit.ledger import log
from audit.ledger.actor import Actor, Origin
from audit.ledger.acts import Act
from audit.ledger.identifiers import uuid7
from audit.ledger.log import Obj
from console import errors
from console.requests import PageRequest

Handler = Callable[[PageRequest], HttpResponseBase]
# Where somebody with a one-time password may go before choosing their own.
FIRST_PASSWORD_ALLOWED = {"account", "sign-out", "set_language"}


def audit_requests(get_response: Handler) -> Handler:
    """Outermost: gives the request its id, and records what was denied once everything rolled back.

    A denial that cannot be recorded is answered 503: nothing happens without its event.
    """

    def middleware(request: PageRequest) -> HttpResponseBase:
        request.origin = origin_of(request)
        request.denials, request.failures = [], []
        response = get_response(request)
        try:
            for denied in request.denials:
                record_denial(denied)
            for failure in request.failures:
                log.record_alone(
                    request.actor, failure.act, outcome="failure", reason=failure.reason
                )
        except log.LogUnavailable:
            return errors.page(request, 503)
        response.headers["X-Request-ID"] = request.origin.request_id
        return response

    return middleware


def identify(get_response: Handler) -> Handler:
    """After authentication: the actor of this request, and the first password's one errand."""

    def middleware(request: PageRequest) -> HttpResponseBase:
        request.actor = actor_of(request)
        user: object = request.user
        if (
            settings.ENFORCE_FIRST_PASSWORD_CHANGE
            and isinstance(user, User)
            and user.must_change_password
            and _route_name(request) not in FIRST_PASSWORD_ALLOWED
        ):
            return redirect("account")
        return get_response(request)

    return middleware


def origin_of(request: HttpRequest) -> Origin:
    try:
        route = "/" + resolve(request.path_info).route
    except Resolver404:
        route = ""
    return Origin(
        ip=request.META.get("REMOTE_ADDR", ""),
        user_agent=request.headers.get("User-Agent", ""),
        request_id=str(uuid7()),
        method=request.method or "",
        route=route,
    )


def actor_of(request: PageRequest) -> Actor:
    """The signed-in person, with the role the database holds now, or nobody."""
    origin = request.origin
    user: object = request.user  # nobody, too, before the login wall
    if not isinstance(user, User):
        return Actor.anonymous(origin)
    key = request.session.session_key or ""
    session = hashlib.sha256(key.encode()).hexdigest()[:16] if key else ""
    return actor_for(
        user,
        origin=Origin(
            origin.ip, origin.user_agent, origin.request_id, origin.method, origin.route, session
        ),
    )


def record_denial(denied: Denied) -> None:
    objects = [Obj(denied.act.category, denied.target)] if denied.target else []
    log.record_alone(
        denied.actor,
        Act.AUTHZ_DENIED,
        *objects,
        outcome="denied",
        permission=denied.act.value,
        reason=f"role {denied.actor.role or 'none'} may not {denied.act.value}",
    )


def _route_name(request: HttpRequest) -> str:
    try:
        return resolve(request.path_info).url_name or ""
    except Resolver404:
        return ""
