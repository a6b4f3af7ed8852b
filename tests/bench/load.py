"""A small load generator over kept-alive connections, and a canned upstream to put behind."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field

REPLY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"fusebox/bench:r1",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"The capital of France is Paris."},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":16,"completion_tokens":8,"total_tokens":24}}'
)
CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"fusebox/bench:r1",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":" word"},"finish_reason":null}]}\n\n'
)
FINISH = CHUNK.replace(b'"finish_reason":null', b'"finish_reason":"stop"')
USAGE = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"fusebox/bench:r1",'
    b'"choices":[],"usage":{"prompt_tokens":16,"completion_tokens":32,"total_tokens":48}}\n\n'
)
CHUNKS = 32


@dataclass
class Figures:
    """What one run saw. Times in seconds."""

    seconds: float = 0.0
    totals: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.totals) / self.seconds

    @property
    def first_p50_ms(self) -> float:
        return statistics.median(self.firsts) * 1000

    @property
    def total_p50_ms(self) -> float:
        return statistics.median(self.totals) * 1000


async def canned(port: int) -> asyncio.Server:
    """An upstream that answers at once: JSON, or a stream of 32 chunks when asked to stream."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                if b'"stream":true' in body or b'"stream": true' in body:
                    writer.write(
                        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                    )
                    for part in [CHUNK] * CHUNKS + [FINISH, USAGE, b"data: [DONE]\n\n"]:
                        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                        await writer.drain()
                    writer.write(b"0\r\n\r\n")
                else:
                    writer.write(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                        % (len(REPLY), REPLY)
                    )
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port)


async def run(port: int, key: str, body: bytes, clients: int, seconds: float) -> Figures:
    """Ask again and again over `clients` connections for `seconds`."""
    figures = Figures()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
        % (key.encode(), len(body), body)
    )
    end = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            began = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(head.decode())
            first = await _body(reader, head)
            figures.firsts.append(first - began)
            figures.totals.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    figures.seconds = time.perf_counter() - began
    return figures


async def _body(reader: asyncio.StreamReader, head: bytes) -> float:
    """Read the whole body; the moment when its first byte was there."""
    if b"content-length: " in head:
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(1)
        first = time.perf_counter()
        await reader.readexactly(length - 1)
        return first
    first = 0.0
    while size := int(await reader.readline(), 16):
        first = first or time.perf_counter()
        await reader.readexactly(size + 2)
    await reader.readline()
    return first
