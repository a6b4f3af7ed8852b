"""More real nodes: an Ollama each, on a free port, with a store of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from console.embedded import ollama, spawn
from console.embedded.installation import Installation
from tests.ports import free_port


@contextmanager
def second_node(
    installation: Installation, models: Path, *, disk: str = "", authority: Path | None = None
) -> Iterator[str]:
    """The URL of an empty node. With `disk`, its store is a file system of that size; it trusts
    the certificates of `authority` and no others."""
    own = ollama.from_wheel(installation)
    port = free_port()
    models.mkdir(parents=True, exist_ok=True)
    env = {**own.env, "OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(models)}
    if authority is not None:
        env["SSL_CERT_FILE"] = str(authority)
    command = [*own.command, "serve"]
    if disk:
        unshare = shutil.which("unshare")
        assert unshare, "unshare is not installed (Debian: util-linux)"
        mount = f"mount -t tmpfs -o size={disk} none {shlex.quote(str(models))}"
        command = [unshare, "-rm", "sh", "-c", f"{mount} && exec {shlex.join(map(str, command))}"]
    log = models.parent / f"ollama-{port}.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            list(map(str, command)), env=env, stdout=out, stderr=out, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        if not spawn.wait_until(lambda: ollama.answers(url), child, 30):
            raise RuntimeError(log.read_text()[-2000:])
        yield url
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)
