"""Stub until the auditor's pages are here."""

from django.http import HttpRequest, HttpResponse


def event_list(request: HttpRequest) -> HttpResponse:
    return HttpResponse("x")


def event_detail(request: HttpRequest, pk: object) -> HttpResponse:
    return HttpResponse("x")


def event_export(request: HttpRequest) -> HttpResponse:
    return HttpResponse("x")
