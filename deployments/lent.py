"""A registry lent to nodes for one transfer: a node pushes a model into a folder of ours, or pulls
one from it. Nodes give models to nobody else, so this is how one is copied or put into a bundle.

It speaks as much of the OCI distribution protocol as Ollama uses, to who knows the token only.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from django.conf import settings

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
BLOCK = 1024 * 1024
MAX_MANIFEST = 1024 * 1024
SILENCE_S = 60.0


# How a model is called on a node while it passes; it belongs to no catalogue.
PASSING = "/model:transfer"


class Lent(ThreadingHTTPServer):
    """Serves `folder` under `name`, which is what a node is told to push or pull. `may_write`
    bytes are taken at most; with 0 it only gives."""

    daemon_threads = True

    def __init__(self, folder: Path, node_url: str, *, may_write: int = 0) -> None:
        address = ipaddress.ip_address(address_toward(node_url))
        four = address.version == 4
        self.address_family = socket.AF_INET if four else socket.AF_INET6
        # An address given by hand may be that of a host in front of us: not ours to bind.
        everywhere = "0.0.0.0" if four else "::"  # noqa: S104
        own = everywhere if settings.TRANSFER_HOST else str(address)
        super().__init__((own, settings.TRANSFER_PORT), _Handler)
        self.folder, self.may_write, self.written = folder, may_write, 0
        self.token = secrets.token_hex(16)
        self.lock = threading.Lock()
        self.host = f"{address if four else f'[{address}]'}:{self.server_port}"
        self.name = f"{self.host}/{self.token}{PASSING}"
        # A second name of the same place: Ollama takes blobs only from where it was redirected.
        other = f"::ffff:{address}" if four else address.exploded
        self.other_host = f"[{other}]:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A node that hangs up is the operation's matter."""

    def take(self, size: int) -> bool:
        with self.lock:
            self.written += size
            return self.written <= self.may_write


def address_toward(node_url: str) -> str:
    """Our own address as the node sees it."""
    if settings.TRANSFER_HOST:
        found = socket.getaddrinfo(settings.TRANSFER_HOST, None, type=socket.SOCK_STREAM)
        return str(found[0][4][0])
    parts = urlsplit(node_url)
    port = parts.port or 11434
    family, _kind, _proto, _name, address = socket.getaddrinfo(
        parts.hostname, port, type=socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)  # sends nothing; asks the kernel for the way
        return str(probe.getsockname()[0])


@contextmanager
def lent(folder: Path, node_url: str, *, may_write: int = 0) -> Iterator[Lent]:
    server = Lent(folder, node_url, may_write=may_write)
    thread = threading.Thread(target=server.serve_forever, name="lent-registry", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SILENCE_S
    server: Lent

    def log_message(self, format: str, *args: object) -> None:
        """The operation has its own log."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        kind, what = self._asked()
        if kind == "manifests":
            path, form = self.server.folder / "manifest", self._media_type()
        elif kind == "blobs" and DIGEST.fullmatch(what):
            path, form = self.server.folder / what.replace(":", "-"), "application/octet-stream"
        else:
            return self._answer(404)
        if not path.is_file():
            return self._answer(404)
        first_name = self.headers.get("Host") == self.server.host
        if kind == "blobs" and self.command == "GET" and first_name:
            where = f"http://{self.server.other_host}{self.path}"
            return self._answer(307, Location=where)
        return self._send(path, form)

    def do_POST(self) -> None:
        kind, what = self._asked()
        if kind != "blobs" or what != "uploads":
            return self._answer(404)
        upload = secrets.token_hex(8)
        return self._answer(202, Location=self._place(upload), Range="0-0")

    def do_PATCH(self) -> None:
        upload = self._upload()
        size = int(self.headers.get("Content-Length") or 0)
        begin = (self.headers.get("Content-Range") or "0-").split("-")[0]
        if not upload or not begin.isdigit() or not self.server.take(size):
            self.close_connection = True
            return self._answer(413 if upload else 404)
        part = self.server.folder / f"upload-{upload}"
        part.touch(mode=0o600)
        with part.open("r+b") as out:
            out.seek(int(begin))
            while size and (block := self.rfile.read(min(BLOCK, size))):
                out.write(block)
                size -= len(block)
            end = out.tell()
        return self._answer(202, Location=self._place(upload), Range=f"0-{end - 1}")

    def do_PUT(self) -> None:
        kind, _what = self._asked()
        if kind == "manifests":
            return self._keep_manifest()
        upload = self._upload()
        digest = parse_qs(urlsplit(self.path).query).get("digest", [""])[0]
        part = self.server.folder / f"upload-{upload}"
        if not upload or not DIGEST.fullmatch(digest) or not part.is_file():
            return self._answer(404)
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != f"sha256:{found}":
            part.unlink()
            return self._answer(400)
        part.rename(self.server.folder / digest.replace(":", "-"))
        return self._answer(201, Location=self.path)

    def _keep_manifest(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if not self.server.may_write or not 0 < size <= MAX_MANIFEST:
            return self._answer(413)
        try:
            manifest = json.loads(self.rfile.read(size))
            for layer in manifest["layers"]:
                layer.pop("from", None)  # a path on the node's own disk
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return self._answer(400)
        (self.server.folder / "manifest").write_text(json.dumps(manifest, separators=(",", ":")))
        return self._answer(201)

    def _asked(self) -> tuple[str, str]:
        """("manifests" | "blobs", what) of a path below our token; ("", "") of any other."""
        parts = urlsplit(self.path).path.strip("/").split("/")
        known = ["v2", self.server.token, "model"]
        if parts[:3] != known or len(parts) < 5:
            return "", ""
        return parts[3], parts[4]

    def _upload(self) -> str:
        parts = urlsplit(self.path).path.strip("/").split("/")
        kind, what = self._asked()
        right = kind == "blobs" and what == "uploads" and len(parts) == 6
        return parts[5] if right and re.fullmatch("[0-9a-f]{16}", parts[5]) else ""

    def _place(self, upload: str) -> str:
        return f"http://{self.server.host}/v2/{self.server.token}/model/blobs/uploads/{upload}"

    def _media_type(self) -> str:
        try:
            kind = json.loads((self.server.folder / "manifest").read_bytes())["mediaType"]
        except (OSError, ValueError, KeyError, TypeError):
            kind = ""
        fallback = "application/vnd.docker.distribution.manifest.v2+json"
        return kind if re.fullmatch(r"[\w.+/-]{1,120}", str(kind)) else fallback

    def _send(self, path: Path, form: str) -> None:
        size = path.stat().st_size
        begin, end = self._range(size)
        partial = (begin, end) != (0, size)
        self.send_response(206 if partial else 200)
        self.send_header("Content-Type", form)
        self.send_header("Content-Length", str(end - begin))
        self.send_header("Accept-Ranges", "bytes")
        if partial:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
        self.end_headers()
        if self.command == "HEAD":
            return
        with path.open("rb") as file:
            file.seek(begin)
            left = end - begin
            while left and (block := file.read(min(BLOCK, left))):
                self.wfile.write(block)
                left -= len(block)

    def _range(self, size: int) -> tuple[int, int]:
        found = re.fullmatch(r"bytes=(\d{1,15})-(\d{0,15})", self.headers.get("Range") or "")
        if not found:
            return 0, size
        begin = min(int(found[1]), size)
        return begin, min(int(found[2]) + 1, size) if found[2] else size

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
