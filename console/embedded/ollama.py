"""Finding an Ollama, or starting one: a given URL, one that listens, one on PATH, the wheel's."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from console.embedded import spawn, wheels
from console.embedded.installation import Installation

USUAL = "http://127.0.0.1:11434"
HOW_TO_GET = (
    "No Ollama was found, and there is no build for this machine. Install Ollama (ollama.com) and "
    "start it, or set FUSEBOX_OLLAMA_URL to one that runs."
)
# The wheel's build is for Intel GPUs; without one its SYCL library aborts. This stands in for it.
STAND_IN = """
void *ggml_backend_sycl_init(int device) { (void)device; return 0; }
void *ggml_backend_sycl_buffer_type(int device) { (void)device; return 0; }
int ggml_backend_sycl_get_device_count(void) { return 0; }
"""


def answers(url: str) -> bool:
    """Whether a real Ollama answers there."""
    try:
        with urllib.request.urlopen(f"{url}/api/version", timeout=2) as reply:  # noqa: S310
            return "version" in json.load(reply)
    except (OSError, urllib.error.URLError, ValueError):
        return False


class Outside:
    """An Ollama that is not ours to start or stop."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")


class Own:
    """An Ollama of this data folder: its own port on loopback, its own models."""

    name = "ollama"
    stop_signal = signal.SIGTERM

    def __init__(self, installation: Installation, command: list[str], env: dict[str, str]) -> None:
        self.installation = installation
        self.command = command
        self.port = _kept_port(installation)
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            **os.environ,
            **env,
            "OLLAMA_HOST": f"127.0.0.1:{self.port}",
            "OLLAMA_MODELS": str(installation.ollama / "models"),
            "OLLAMA_NO_CLOUD": "1",
        }
        self.env.pop("OLLAMA_DEBUG_LOG_REQUESTS", None)

    def start(self) -> subprocess.Popen[bytes]:
        return spawn.start(
            [*self.command, "serve"], env=self.env, log=self.installation.logs / "ollama.log"
        )

    def is_ready(self) -> bool:
        return answers(self.url)


def find(installation: Installation, configured: str) -> Outside | Own:
    """The Ollama to use, in the order above. Raises wheels.EngineMissing when there is none."""
    if configured:
        return Outside(configured)
    if answers(USUAL):
        return Outside(USUAL)
    if program := shutil.which("ollama"):
        return Own(installation, [program], {})
    return from_wheel(installation)


def from_wheel(installation: Installation) -> Own:
    """The server that came as a wheel (Linux x86-64)."""
    source = wheels.ollama_folder()
    if source is None or sys.platform != "linux" or platform.machine() != "x86_64":
        raise wheels.EngineMissing(HOW_TO_GET)
    folder = _prepared_build(installation, source)
    libraries = f"{folder}:{wheels.shared_libraries()}"
    return Own(
        installation,
        [str(folder / "ollama-lib")],
        {"LD_LIBRARY_PATH": libraries, "OLLAMA_NUM_GPU": "0"},
    )


def _prepared_build(installation: Installation, source: Path) -> Path:
    """A copy of the build with the stand-in for its GPU library, made once."""
    server = source / "ollama-lib"
    mark = hashlib.sha256(f"{server.stat().st_size} {STAND_IN} without AMX".encode()).hexdigest()[
        :12
    ]
    folder = installation.ollama / f"build-{mark}"
    if folder.exists():
        return folder
    part = folder.with_suffix(f".{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part)
    (part / "libggml-sycl.so").unlink(missing_ok=True)
    # On processors with AMX this build's variant for them answers garbage; the next best is right.
    (part / "libggml-cpu-sapphirerapids.so").unlink(missing_ok=True)
    code = part / "stand-in.c"
    code.write_text(STAND_IN)
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise wheels.EngineMissing(
            "A C compiler is needed once to prepare the embedded Ollama. Install gcc (Debian: "
            "apt-get install gcc libc6-dev), or set FUSEBOX_OLLAMA_URL to an Ollama that runs."
        )
    spawn.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", part / "libggml-sycl.so", code], env=os.environ
    )
    (part / "ollama-lib").chmod(0o700)
    part.rename(folder)
    return folder


def _kept_port(installation: Installation) -> int:
    """The port of last time if it is free, so that the node keeps its address; else a free one."""
    path = installation.ollama / "port"
    try:
        port = int(path.read_text())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except (OSError, ValueError):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        path.write_text(str(port))
    return port
