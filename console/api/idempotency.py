"""`Idempotency-Key` on creating calls: asked twice, done once, with the same answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from deployments import once

Method = Callable[..., Response]


def idempotent(method: Method) -> Method:
    """Around a viewset's creating action: with the header, the same call is done once."""

    @wraps(method)
    def wrapped(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key")
        if not key:
            return method(self, request, *args, **kwargs)

        def work() -> tuple[int, Any]:
            response = method(self, request, *args, **kwargs)
            return response.status_code, response.data

        asked = [request.method, request.get_full_path(), request.data]
        status, body = once.answer(caller=self.actor.id, key=key, asked=asked, work=work)
        return Response(body, status=status)

    return wrapped
