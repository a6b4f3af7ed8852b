"""A running console for tests: what `make up` runs, in a folder and on a port of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg

from audit.ledger.rows import FILE
from console.embedded.installation import Installation
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
READY_S = 600
CLEAN = {
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "DATABASE_SEALER_URL",
    "REDIS_URL",
    "FUSEBOX_DATA",
    "FUSEBOX_SECRET_KEY",
    "FUSEBOX_DB_AS",
    "DJANGO_SETTINGS_MODULE",
    "FUSEBOX_ENFORCE_FIRST_PASSWORD_CHANGE",
}


class Console:
    """Start it, use it, kill parts of it, stop it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.installation = Installation(data)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = data.parent / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k not in CLEAN}
        # The wheel's own Ollama, whatever else this machine has.
        return {**kept, "FUSEBOX_DATA": str(self.data), "FUSEBOX_PORT": str(self.port)}

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "console.embedded"],
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"it ended:\n{self.said()}")
            if (self.data / "first-run.json").exists() and self.is_ready():
                return
            time.sleep(0.2)
        raise AssertionError(f"not ready in {READY_S} s:\n{self.said()}")

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    @property
    def first_run(self) -> dict[str, Any]:
        return json.loads((self.data / "first-run.json").read_text())  # type: ignore[no-any-return]

    @property
    def key(self) -> str:
        return str(self.first_run["api_key"])

    def children(self, pattern: str) -> list[int]:
        """Pids of this console's processes whose command line matches."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    environ = (folder / "environ").read_bytes()
                except OSError:
                    continue
                if re.search(pattern, line) and str(self.data).encode() in environ + line.encode():
                    found.append(int(folder.name))
        return sorted(found)

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the console's own database, as the web's role; of the log, with what was just taken
        in."""
        url = self.installation.environment()["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            if "ledger_event" in sql:
                connection.execute(FILE, [5000])
            cursor = connection.execute(sql, values)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def ask(self, key: str | None = None, **body: Any) -> httpx.Response:
        """POST /v1/chat/completions."""
        body = {"model": "assistant", "temperature": 0, "messages": [QUESTION], **body}
        headers = {"Authorization": f"Bearer {self.key if key is None else key}"}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=60)

    def sign_in(self, role: str) -> Person:
        account = self.first_run["accounts"][role]
        return Person(self, account["username"], account["password"])

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run manage.py against this console, as somebody on the machine would."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


QUESTION: Any = {"role": "user", "content": "What is the capital of France?"}


class Person:
    """Somebody signed in with a browser's cookies, without a browser."""

    def __init__(self, console: Console, username: str, password: str) -> None:
        self.http = httpx.Client(base_url=console.url, timeout=60)
        answer = self.post("/sign-in/", username=username, password=password)
        assert answer.status_code == 302, answer.text[:2000]

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def post(self, path: str, **fields: str) -> httpx.Response:
        if "fusebox_csrf" not in self.http.cookies:
            self.http.get("/sign-in/")
        token = self.http.cookies["fusebox_csrf"]
        return self.http.post(path, data={**fields, "csrfmiddlewaretoken": token})
