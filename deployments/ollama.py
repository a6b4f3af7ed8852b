"""The only code that speaks to Ollama for control. Typed results, an exception tree of its own.

The client's errors never leave this module. The inference path has its own client (gateway).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import ollama
from django.utils.translation import gettext_noop as _

from access.said import quote, say
from deployments import fit
from deployments.connection import PLAIN, Access
from deployments.ollama_lines import Lines, Steps, raise_for_status, refused, told
from deployments.ollama_types import (
    BLOCK,
    BadReply,
    Facts,
    House,
    Interrupted,
    Loaded,
    ModelMissing,
    OllamaError,
    Piece,
    Probe,
    Progress,
    Refused,
    Tag,
    Timeout,
    Unreachable,
    ahead,
    is_remote,
    piece,
    sha256_of,
)

CONNECT_S = 3.0
READ_S = 10.0
LOAD_S = 300.0
STREAM_SILENCE_S = 60.0

__all__ = [
    "BadReply",
    "Facts",
    "House",
    "Interrupted",
    "Lines",
    "Loaded",
    "ModelMissing",
    "Node",
    "OllamaError",
    "Piece",
    "Probe",
    "Progress",
    "Refused",
    "Steps",
    "Tag",
    "Timeout",
    "Unreachable",
    "fetch_text",
    "sha256_of",
]


class Node:
    """One node, by URL. Every call has its own timeouts; redirects and proxies are not followed."""

    def __init__(self, url: str, access: Access = PLAIN) -> None:
        self.url, self.access = url, access

    def house(self) -> House:
        """Whether clouds are switched off, and which of its models are somebody else's."""
        with self._client() as client:
            status = client._client.get("/api/status")
            listed = client._client.get("/api/tags")
            raise_for_status(listed)
            models = _mapping(listed.json()).get("models")
            cloud = _mapping(_mapping(status.json()).get("cloud")) if status.is_success else {}
        found = [_mapping(m) for m in models] if isinstance(models, list) else []
        names = [str(m.get("name", ""))[:255] for m in found if is_remote(m)]
        off = bool(cloud["disabled"]) if "disabled" in cloud else None
        return House(off, names[:100], ahead(listed.headers.get("date", "")))

    def version(self) -> str:
        with self._client() as client:
            reply = client._client.get("/api/version")
            raise_for_status(reply)
            try:
                version = reply.json()["version"]
            except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
                raise BadReply(
                    say(_("What answers at this address is not Ollama (no version in its reply)."))
                ) from error
            return str(version)[:64]

    def tags(self) -> list[Tag]:
        with self._client() as client:
            return [_tag(m) for m in client.list().models]

    def loaded(self) -> list[Loaded]:
        with self._client() as client:
            return [
                Loaded(
                    name=m.model or m.name or "",
                    size=int(m.size or 0),
                    size_vram=int(m.size_vram or 0),
                    expires_at=m.expires_at.isoformat() if m.expires_at else "",
                )
                for m in client.ps().models
            ]

    def show(self, tag: str) -> Facts:
        with self._client() as client:
            reply = client.show(tag)
        info = reply.modelinfo or {}
        length = next((v for k, v in info.items() if k.endswith(".context_length")), None)
        return Facts.of(
            reply.modelfile or "",
            context_length=int(length) if length else None,
            capabilities=[str(c) for c in reply.capabilities or []],
            licence=reply.license or "",
            shape=fit.shape_of(info),
        )

    def digest_of(self, tag: str) -> str | None:
        """The digest under which the node holds `tag`, or None."""
        return next((t.digest for t in self.tags() if t.name == tag), None)

    def create_from(
        self, tag: str, base: str, *, system: str, parameters: dict[str, Any], template: str = ""
    ) -> None:
        """Make `tag` from `base` with a system prompt, parameters and perhaps a template."""
        with self._client(LOAD_S) as client:
            client.create(
                model=tag,
                from_=base,
                system=system or None,
                parameters=parameters or None,
                template=template or None,
                stream=False,
            )

    def upload(
        self, path: Path, progress: Callable[[int, int], None], digest: str | None = None
    ) -> str:
        """Send a file as a blob unless the node has it; returns its digest `sha256:…`.

        progress(done, total) is called about once a megabyte and may raise to stop.
        """
        total = path.stat().st_size
        digest = digest or f"sha256:{sha256_of(path)}"

        def body() -> Iterator[bytes]:
            done = 0
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    yield block
                    done += len(block)
                    progress(done, total)

        with self._client(STREAM_SILENCE_S) as client:
            head = client._client.head(f"/api/blobs/{digest}")
            if head.status_code != httpx.codes.OK:
                reply = client._client.post(
                    f"/api/blobs/{digest}", content=body(), headers={"Content-Length": str(total)}
                )
                raise_for_status(reply)
        progress(total, total)
        return digest

    def create(
        self,
        tag: str,
        *,
        files: dict[str, str] | None = None,
        base: str = "",
        adapters: dict[str, str] | None = None,
        quantize: str = "",
    ) -> Steps:
        """Make `tag` of uploaded blobs ({file name: digest}), or of `base` with an adapter."""
        body = {"model": tag, "files": files, "from": base, "adapters": adapters}
        body["quantize"] = quantize
        return Steps(self, "/api/create", {k: v for k, v in body.items() if v}, LOAD_S)

    def create_from_file(self, tag: str, file_name: str, digest: str) -> Steps:
        """Make `tag` of one uploaded blob."""
        return self.create(tag, files={file_name: digest})

    def pull(self, name: str, *, insecure: bool = False) -> Steps:
        """Have the node pull `name`; `insecure` allows a registry without TLS."""
        return Steps(self, "/api/pull", {"model": name, "insecure": insecure}, STREAM_SILENCE_S)

    def push(self, name: str, *, insecure: bool = False) -> Steps:
        """Have the node send `name` to the registry that the name begins with."""
        return Steps(self, "/api/push", {"model": name, "insecure": insecure}, STREAM_SILENCE_S)

    def alias(self, source: str, target: str) -> None:
        """Give a stored model a second tag; costs no disk."""
        with self._client() as client:
            client.copy(source, target)

    def load(self, tag: str, *, keep: bool = True) -> None:
        """Bring the model into memory; with `keep` the node keeps it there."""
        with self._client(LOAD_S) as client:
            client.generate(model=tag, prompt="", keep_alive=-1 if keep else None)

    def unload(self, tag: str) -> None:
        with self._client() as client:
            client.generate(model=tag, prompt="", keep_alive=0)

    def probe(
        self,
        tag: str,
        prompt: str,
        *,
        max_tokens: int = 32,
        schema: dict[str, Any] | None = None,
        patience_s: float = LOAD_S,
    ) -> Probe:
        """A real answer to a real prompt, at temperature 0. What is loaded stays so as it was."""
        with self._client(patience_s) as client:
            reply = client.chat(
                model=tag,
                messages=[{"role": "user", "content": prompt}],
                options={"temperature": 0, "num_predict": max_tokens},
                format=schema,
            )
        return Probe(
            text=reply.message.content or "",
            tokens=int(reply.eval_count or 0),
            total_ms=int(reply.total_duration or 0) // 1_000_000,
            load_ms=int(reply.load_duration or 0) // 1_000_000,
        )

    def chat(
        self,
        tag: str,
        messages: list[dict[str, str]],
        *,
        options: dict[str, Any],
        schema: dict[str, Any] | None = None,
        silence_s: float = LOAD_S,
    ) -> Lines[Piece]:
        """An answer piece by piece; hanging up ends it on the node, too."""
        body = {"model": tag, "messages": messages, "options": options, "stream": True}
        body |= {"format": schema} if schema is not None else {}
        return Lines(self, "/api/chat", body, silence_s, lambda part: piece(told(part)))

    def delete(self, tag: str) -> bool:
        """Remove a tag; False when it was not there."""
        try:
            with self._client() as client:
                client.delete(tag)
        except ModelMissing:
            return False
        return True

    @contextmanager
    def _client(self, read_s: float = 0) -> Iterator[ollama.Client]:
        read_s = read_s or READ_S
        timeout = httpx.Timeout(read_s, connect=CONNECT_S)
        client = ollama.Client(
            host=self.url,
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            headers=dict(self.access.headers),
            verify=self.access.tls or True,
        )
        try:
            yield client
        except ollama.ResponseError as error:
            raise refused(error.status_code, error.error) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as error:
            raise Unreachable(say(_("No connection to %(url)s."), url=self.url)) from error
        except httpx.TimeoutException as error:
            raise Timeout(
                say(
                    _("%(url)s did not answer within %(seconds)d seconds."),
                    url=self.url,
                    seconds=int(read_s),
                )
            ) from error
        except httpx.HTTPError as error:
            raise Unreachable(
                say(
                    _("The connection to %(url)s broke: %(reason)s"),
                    url=self.url,
                    reason=quote(error),
                )
            ) from error
        except (json.JSONDecodeError, UnicodeDecodeError, ValueError) as error:
            raise BadReply(
                say(_("%(url)s answered something that is not Ollama's."), url=self.url)
            ) from error
        finally:
            client._client.close()


def fetch_text(url: str, most: int) -> str:
    """A page of figures from a machine's exporter, at most `most` bytes of it."""
    body = b""
    try:
        with (
            httpx.Client(timeout=httpx.Timeout(5.0, connect=CONNECT_S), trust_env=False) as client,
            client.stream("GET", url) as reply,
        ):
            for chunk in reply.iter_bytes() if reply.is_success else ():
                body += chunk
                if len(body) > most:
                    raise BadReply(say(_("%(url)s sends more than %(n)d bytes."), url=url, n=most))
    except httpx.HTTPError as error:
        reason = quote(str(error) or type(error).__name__)
        raise Unreachable(
            say(_("No answer from %(url)s: %(reason)s"), url=url, reason=reason)
        ) from error
    if not reply.is_success:
        raise BadReply(say(_("%(url)s answers HTTP %(n)d."), url=url, n=reply.status_code))
    return body.decode("utf-8", "replace")


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tag(model: ollama.ListResponse.Model) -> Tag:
    details = model.details
    return Tag(
        name=model.model or "",
        digest=model.digest or "",
        size=int(model.size or 0),
        family=(details.family if details else "") or "",
        parameter_size=(details.parameter_size if details else "") or "",
        quantization=(details.quantization_level if details else "") or "",
    )
