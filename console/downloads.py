"""Files for a reader to keep: under a name, streamed as the server can, kept by no cache."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from audit.office.export import Drawn, Pieces, Stream


def headers(name: str, **more: str) -> dict[str, str]:
    """What makes an answer a file called `name`."""
    attachment = f'attachment; filename="{name}"'
    return {"Content-Disposition": attachment, "Cache-Control": "no-store", **more}


def streamed(
    request: HttpRequest, file: Stream | Pieces, name: str, content_type: str, *, size: int = 0
) -> StreamingHttpResponse:
    """`file` piece by piece, closed with the answer. `size` in bytes where it is known."""
    content: Drawn | Stream | Pieces | Iterator[bytes]
    if isinstance(file, Stream):
        content = Drawn(file) if isinstance(request, ASGIRequest) else file
    else:
        content = file if isinstance(request, ASGIRequest) else iter(file)
    more = {"Content-Length": str(size)} if size else {}
    return StreamingHttpResponse(content, content_type=content_type, headers=headers(name, **more))
