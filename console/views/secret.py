"""The page that shows a secret: a one-time password, or the key just issued."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from console.requests import PageRequest


def secret_once(request: PageRequest, **context: object) -> HttpResponse:
    """A secret shown once; never cached, never shown again."""
    response = render(request, "secret_once.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response
