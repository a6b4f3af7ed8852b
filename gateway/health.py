"""Liveness, readiness and metrics of a process that holds the gateway's runtime."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from gateway import runtime
from gateway.app import Scope, Send

PATHS = {"/healthz", "/readyz", "/metrics"}


async def application(scope: Scope, send: Send) -> None:
    """/healthz: the process answers. /readyz: it can admit requests. /metrics: Prometheus text."""
    status, content_type, body = 200, "text/plain; charset=utf-8", b"ok\n"
    if scope["path"] == "/readyz":
        problem = not_ready()
        if problem:
            status, body = 503, f"{problem}\n".encode()
    elif scope["path"] == "/metrics":
        content_type, body = CONTENT_TYPE_LATEST, metrics()
    headers = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def not_ready() -> str:
    """Why requests cannot be admitted now; empty when they can."""
    try:
        current = runtime.current()
    except RuntimeError:
        return "the gateway is not started"
    if current.stopping:
        return "stopping"
    if not current.log.healthy:
        return "the audit log cannot be written"
    return "" if current.directory.fresh else "the database does not answer"


def metrics() -> bytes:
    """The figures of this process."""
    registry = CollectorRegistry()
    gauges = {
        "fusebox_requests_in_flight": ("Inference requests under way.", 0),
        "fusebox_events_waiting": ("Events that wait to be stored.", 0),
        "fusebox_ready": ("1 when requests can be admitted.", int(not not_ready())),
    }
    try:
        current = runtime.current()
    except RuntimeError:
        pass
    else:
        gauges["fusebox_requests_in_flight"] = ("Inference requests under way.", current.requests)
        gauges["fusebox_events_waiting"] = ("Events that wait to be stored.", current.log.waiting)
    for name, (text, value) in gauges.items():
        Gauge(name, text, registry=registry).set(value)
    return generate_latest(registry)
