"""A real registry (Debian's docker-registry) behind a proxy that redirects blobs to a second name,
as registries with an object store do, and that can be slow, cut off or mute."""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.ports import free_port, wait_for

BLOCK = 64 * 1024
HOPS = {"connection", "transfer-encoding", "content-length"}


class Proxy(ThreadingHTTPServer):
    """Passes everything on; `rate` bytes a second, nothing after `cut_after` bytes of blobs."""

    daemon_threads = True

    def __init__(self, upstream: int, certificates: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = upstream
        self.scheme = "http"
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"
        self.rate = 0
        self.cut_after: int | None = None
        self.sent = 0
        self.lock = threading.Lock()
        self.name = f"127.0.0.1:{self.server_port}"

    def calm(self) -> None:
        self.rate, self.cut_after, self.sent = 0, None, 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        blob = self.command == "GET" and "/blobs/sha256" in self.path
        host = (self.headers.get("Host") or "").split(":")[0]
        if blob and host == "127.0.0.1":
            self.send_response(307)
            self.send_header(
                "Location", f"{self.server.scheme}://localhost:{self.server.server_port}{self.path}"
            )
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.pass_on(blob)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    def pass_on(self, blob: bool) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self.chunks()
        up = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOPS}
        up.request(self.command, self.path, body or None, headers)
        answer = up.getresponse()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in HOPS:
                self.send_header(key, self.ours(key, value))
        self.send_header("Content-Length", answer.getheader("Content-Length") or "0")
        self.end_headers()
        while self.command != "HEAD" and (block := answer.read(BLOCK)):
            if blob and not self.may_send(len(block)):
                self.close_connection = True
                break
            self.wfile.write(block)
        up.close()

    def ours(self, key: str, value: str) -> str:
        if key.lower() != "location":
            return value
        parts = urlsplit(value)
        return f"{self.server.scheme}://{self.server.name}{parts.path}" + (
            f"?{parts.query}" if parts.query else ""
        )

    def chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def may_send(self, size: int) -> bool:
        with self.server.lock:
            if self.server.cut_after is not None and self.server.sent >= self.server.cut_after:
                return False
            self.server.sent += size
            if self.server.rate:
                time.sleep(size / self.server.rate)
        return True


@contextmanager
def running(folder: Path, certificates: Path | None = None) -> Iterator[Proxy]:
    """The registry with its proxy, storing into `folder`; over TLS with `certificates`."""
    with _serving(folder) as port:
        proxy = Proxy(port, certificates)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()
        proxy.server_close()


@contextmanager
def _serving(folder: Path) -> Iterator[int]:
    program = shutil.which("docker-registry")
    assert program, "docker-registry is not installed (Debian: apt-get install docker-registry)"
    port = free_port()
    config = folder / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage:\n  filesystem:\n    rootdirectory: {folder}\n"
        f"http:\n  addr: 127.0.0.1:{port}\n"
    )
    child = subprocess.Popen(
        [program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        yield port
    finally:
        child.terminate()
        child.wait(10)
