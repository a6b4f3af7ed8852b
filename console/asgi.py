"""The console's ASGI application: the inference path is dispatched before Django sees it."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

from django.core.asgi import get_asgi_application

django_application: Any = get_asgi_application()

from gateway import app, asgi, health


async def application(scope: app.Scope, receive: app.Receive, send: app.Send) -> None:
    """Lifespan and health to the gateway's runtime, /v1 to the gateway, the rest to Django."""
    if scope["type"] == "lifespan":
        await asgi.lifespan(receive, send)
    elif scope["type"] == "http" and scope["path"] in health.PATHS:
        await health.application(scope, send)
    elif scope["type"] == "http" and (scope["path"] == "/v1" or scope["path"].startswith("/v1/")):
        await app.application(scope, receive, send)
    else:
        await django_application(scope, receive, send)
