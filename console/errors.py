"""The one table: what goes wrong -> status and code, as a page or as JSON."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import set_rollback

from access.errors import Denied, Invalid, Missing, Refusal, WrongState
from audit.ledger.log import LogUnavailable
from audit.ledger.proofs import NotSealed
from console.requests import PageRequest, failed

STATUS: tuple[tuple[type[Exception], int], ...] = (
    (Denied, 403),
    (Missing, 404),
    (Http404, 404),
    (Invalid, 422),
    (WrongState, 409),
    (Refusal, 400),
    (LogUnavailable, 503),
    (NotSealed, 503),
    (OperationalError, 503),
    (InterfaceError, 503),
    (PermissionDenied, 403),
    (SuspiciousOperation, 400),
)
TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
         404: "not_found_error", 405: "invalid_request_error", 409: "conflict_error",
         415: "invalid_request_error", 422: "invalid_request_error", 429: "rate_limit_error",
         503: "service_unavailable_error"}  # fmt: skip


class ErrorPages:
    """Turns what verbs raise into pages; the denial itself is recorded by the outermost layer."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        return response

    def process_exception(self, request: PageRequest, error: Exception) -> HttpResponse | None:
        status = status_of(error)
        if status is None or isinstance(error, Http404):
            return None
        note(request, error)
        return page(request, status, error)


def note(request: PageRequest, error: Exception) -> None:
    """Remember what was refused, for the outermost layer to record."""
    if isinstance(error, Denied):
        request.denials.append(error)
    elif isinstance(error, Refusal) and not isinstance(error, Missing):
        failed(request, error)


def status_of(error: Exception) -> int | None:
    return next((status for kind, status in STATUS if isinstance(error, kind)), None)


def page(request: HttpRequest, status: int, error: Exception | None = None) -> HttpResponse:
    """The page of an error, or JSON in OpenAI's shape for those who asked for JSON."""
    code = getattr(error, "code", "") or {404: "not_found", 503: "unavailable"}.get(status, "error")
    if _wants_json(request):
        return JsonResponse(shape(status, code, _message(status, error)), status=status)
    context = {"status": status, "message": _message(status, error), "error": error}
    if isinstance(error, Denied):
        context |= {"act": error.act, "helpers": error.helpers}
    known = status if status in (400, 403, 404, 409, 500, 503) else 400
    return render(request, f"errors/{known}.html", context, status=status)


def shape(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """{"error": {…}}: OpenAI's shape, so that a client needs one parser."""
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def api_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: the same table."""
    request: PageRequest = context["request"]._request
    set_rollback()
    note(request, error)
    if isinstance(error, drf.APIException):
        return _drf_error(error)
    status = status_of(error)
    if status is None:
        return None
    code = getattr(error, "code", "") or ("not_found" if status == 404 else "unavailable")
    param = getattr(error, "field", "") or None
    return Response(shape(status, code, _message(status, error), param), status=status)


def _drf_error(error: drf.APIException) -> Response:
    headers = {}
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    status, param, code = error.status_code, None, str(error.default_code)
    message = str(error.detail)
    if isinstance(error, drf.ValidationError):
        # As serializers are answered: it was understood, and is wrong.
        status, message = 422, first(error.detail)
        if isinstance(error.detail, dict):
            param = str(next(iter(error.detail)))
    return Response(shape(status, code, message, param), status=status, headers=headers)


def first(problems: Any) -> str:
    """The first of what is wrong, in words, however deep it lies in a list or a field."""
    while isinstance(problems, (dict, list)) and problems:
        problems = next(iter(problems.values() if isinstance(problems, dict) else problems))
    return str(problems)


def _message(status: int, error: Exception | None) -> str:
    if isinstance(error, Refusal):
        return str(error)
    if status == 503:
        return _("The database or the audit log cannot be reached. Nothing was changed.")
    if status == 404:
        return _("There is no such thing here, or it has been removed.")
    if status == 500:
        return _("Something went wrong on our side.")
    return _("The request could not be understood.")


def _wants_json(request: HttpRequest) -> bool:
    return request.path.startswith("/api/") or not request.accepts("text/html")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return page(request, 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return page(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """The last page: it must not need a database, so it falls back to a bare one."""
    try:
        return page(request, 500)
    except DatabaseError:
        return HttpResponse(status=500)
