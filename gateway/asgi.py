"""The gateway alone on its own port: `uvicorn gateway.asgi:application`."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup(set_prefix=False)

from gateway import app, health, runtime


async def application(scope: app.Scope, receive: app.Receive, send: app.Send) -> None:
    """Lifespan, health, and the inference paths."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "http":
        if scope["path"] in health.PATHS:
            await health.application(scope, send)
        else:
            await app.application(scope, receive, send)


async def lifespan(receive: app.Receive, send: app.Send) -> None:
    """Start and stop the runtime with the server."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await runtime.start()
            await send({"type": "lifespan.startup.complete"})
        else:
            await runtime.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
