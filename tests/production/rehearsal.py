"""Production as separate processes on real engines, with the commands of docker-compose.yml."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import yaml

from console import database
from console.embedded import spawn
from console.embedded.installation import Installation
from console.embedded.postgres import ADMIN
from tests.architecture.source import ROOT
from tests.ports import free_port

DOMAIN = "fusebox.example.internal"
DATABASE = "rehearsal"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
FIRST = """
import json, os
from access import actions as access
from audit.ledger.actor import Actor
from deployments import actions as deploy
from deployments.models import StoredModel
actor = Actor.system("rehearsal")
node = deploy.register_node(actor=actor, name="node-1", url=os.environ["REHEARSED_NODE"])
model = StoredModel.objects.get(node=node, tag="smollm2:135m").model
deploy.approve_model(actor=actor, model=model, accept_licence=True)
made = deploy.create_deployment(actor=actor, name="helpdesk", model=model, node=node)
account = access.create_service_account(actor=actor, username="crm", display_name="CRM")
access.grant(actor=actor, deployment_id=made.pk, deployment_name=made.name, user=account)
print(json.dumps({"key": access.issue_key(actor=actor, owner=account, name="crm")[1]}))
"""
STATE = """
import json
from deployments.models import Deployment, Node
made = Deployment.objects.get(name="helpdesk")
checked = Node.objects.get(name="node-1").checked_at
print(json.dumps({"state": made.state, "problem": made.problem, "checked": str(checked)}))
"""


class Rehearsal:
    """One host's worth of processes, each with the command that its container would run."""

    def __init__(self, folder: Path, installation: Installation, node_url: str) -> None:
        self.folder = folder
        self.installation = installation
        self.ports = {"web": free_port(), "gateway": free_port()}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "DJANGO_SETTINGS_MODULE": "console.settings",
            "FUSEBOX_DATA": str(folder / "data"),
            # Volumes of their own in the composition.
            "FUSEBOX_SEALER_DIR": str(folder / "sealer"),
            "FUSEBOX_LOG_CERTIFICATE": str(folder / "sealer" / "fusebox-certificate.txt"),
            "FUSEBOX_STATIC_ROOT": str(folder / "static"),
            "FUSEBOX_PUBLIC_URL": f"https://{DOMAIN}",
            "FUSEBOX_ALLOWED_HOSTS": f"{DOMAIN},127.0.0.1",
            "FUSEBOX_BEHIND_TLS": "true",
            "REHEARSED_NODE": node_url,
            **self._secrets(),
        }

    def _secrets(self) -> dict[str, str]:
        """As in the composition: files, named by X_FILE."""
        url = self.installation.database_url
        values = {
            "FUSEBOX_SECRET_KEY": self.installation.secret("rehearsal"),
            "DATABASE_URL": url(database.WEB, DATABASE),
            "DATABASE_OWNER_URL": url(database.OWNER, DATABASE),
            "DATABASE_SEALER_URL": url(database.SEALER, DATABASE),
            "DATABASE_ADMIN_URL": url(ADMIN, "postgres"),
            # A database of Valkey's own: other tests have workers on the first.
            "REDIS_URL": f"unix://{self.installation.sockets}/valkey.sock?virtual_host=7",
        }
        given = {}
        for name, value in values.items():
            path = self.folder / name.lower()
            path.write_text(value + "\n")
            given[f"{name}_FILE"] = str(path)
        return given

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask_django(self, code: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.manage("shell", "-c", code).splitlines()[-1])
        return answer

    def command(self, service: str) -> list[str]:
        """The command of the composition, on loopback and a free port."""
        words = shlex.split(COMPOSE[service]["command"])
        changes = {"0.0.0.0": "127.0.0.1", "/tmp/schedule": str(self.folder / "schedule")}
        if service in self.ports:
            changes["8000"] = str(self.ports[service])
        words = [changes.get(word, word) for word in words]
        return (
            [sys.executable, *words[1:]] if words[0] == "python" else [sys.executable, "-m", *words]
        )

    def start(self, service: str) -> subprocess.Popen[bytes]:
        extra = {"FUSEBOX_DB_POOL": "true"} if service == "web" else {}
        self.processes[service] = spawn.start(
            self.command(service),
            env={**self.environment, **extra},
            log=self.folder / f"{service}.log",
            cwd=ROOT,
        )
        if service in self.ports:
            ready = spawn.wait_until(lambda: self.is_ready(service), self.processes[service], 60)
            assert ready, self.said(service)
        return self.processes[service]

    def end(self, service: str) -> int:
        """SIGTERM, and the exit code: 0, or the signal, by which uvicorn ends when all is done."""
        process = self.processes.pop(service)
        process.send_signal(signal.SIGTERM)
        return process.wait(45)

    def stop(self) -> None:
        for process in self.processes.values():
            spawn.stop(process, signal.SIGTERM, 20)

    def said(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(errors="replace")

    def is_ready(self, service: str) -> bool:
        try:
            return self.get(service, "/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy in front says."""
        return {"Host": DOMAIN, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}

    def get(self, service: str, path: str) -> httpx.Response:
        return httpx.get(self.url(service) + path, headers=self.headers, timeout=10)
