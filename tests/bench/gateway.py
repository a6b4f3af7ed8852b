"""What the gateway adds to a request: direct and through it, in turn, durable events on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import psycopg

from audit.ledger.rows import FILE
from console.embedded import spawn
from tests.bench import load
from tests.bench.stage import stage
from tests.console_process import QUESTION
from tests.ports import free_port

ROUNDS = 5
SECONDS = 2.0


def main() -> None:
    with stage() as (engines, environment):
        upstream, port = free_port(), free_port()
        key = _prepare(environment, upstream)
        gateway = spawn.start(
            [sys.executable, "-m", "uvicorn", "gateway.asgi:application", "--port", str(port),
             "--loop", "uvloop", "--http", "httptools", "--no-access-log"],
            env={**environment, "DJANGO_SETTINGS_MODULE": "console.settings"},
            log=engines.installation.logs / "gateway.log",
        )  # fmt: skip
        engines.children.append((gateway, signal.SIGTERM))
        asyncio.run(_measure(upstream, port, key, gateway, environment["DATABASE_URL"]))


def _prepare(environment: dict[str, str], upstream: int) -> str:
    """A deployment on the canned upstream and a key for it, by rows: no node could be probed."""
    code = f"""
from access.models import User, Key, Grant
from deployments.models import Node, Model, Deployment, Revision, Replica
import hashlib
u = User.objects.create(username="bench", kind="service")
Key.objects.create(owner=u, name="bench", prefix="fbx_bench", sha256=hashlib.sha256(b"fbx_bench").digest())
n = Node.objects.create(name="canned", url="http://127.0.0.1:{upstream}", status="online")
m = Model.objects.create(digest="0" * 64, name="canned")
d = Deployment.objects.create(name="bench", state="live")
r = Revision.objects.create(deployment=d, number=1, model=m)
Deployment.objects.filter(pk=d.pk).update(current=r)
Replica.objects.create(revision=r, node=n, state="ready")
Grant.objects.create(deployment_id=d.pk, deployment_name="bench", user=u)
"""
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", code], env=environment, check=True
    )
    return "fbx_bench"


async def _measure(
    upstream: int, port: int, key: str, gateway: subprocess.Popen[bytes], database: str
) -> None:
    server = await load.canned(upstream)
    await _until_ready(port)
    plain = orjson.dumps({"model": "bench", "messages": [QUESTION]})
    stream = orjson.dumps({"model": "bench", "messages": [QUESTION], "stream": True})
    one = await _compare(upstream, port, key, plain, 1)
    _line("gateway adds, JSON, 1 client, p50", one[1].total_p50_ms - one[0].total_p50_ms, "ms")
    one = await _compare(upstream, port, key, stream, 1)
    _line(
        "gateway adds to the first byte, stream, 1 client, p50",
        one[1].first_p50_ms - one[0].first_p50_ms,
        "ms",
    )
    before = _cpu(gateway.pid)
    many = await _compare(upstream, port, key, plain, 16)
    spent = _cpu(gateway.pid) - before
    _line("gateway JSON, 16 clients", many[1].rate, "requests/s")
    _line("direct JSON, 16 clients", many[0].rate, "requests/s")
    print(
        f"gateway JSON vs direct, 16 clients: {many[1].rate:.0f} / {many[0].rate:.0f} requests/s = {many[1].rate / many[0].rate:.2f}x"
    )
    _line("gateway CPU a JSON request", spent * 1000 / len(many[1].totals), "ms")
    many = await _compare(upstream, port, key, stream, 16)
    _line("gateway streams of 32 chunks, 16 clients", many[1].rate, "streams/s")
    print(
        f"gateway streams vs direct, 16 clients: {many[1].rate:.0f} / {many[0].rate:.0f} streams/s = {many[1].rate / many[0].rate:.2f}x"
    )
    _line("gateway memory", _memory_mb(gateway.pid), "MB")
    with psycopg.connect(database) as connection:
        connection.execute(FILE, [10_000_000])
        rows = connection.execute("SELECT act, count(*) FROM ledger_event GROUP BY 1").fetchall()
    counts = {str(act): int(str(count)) for act, count in rows}
    if counts["inference.admitted"] != counts["inference.completed"]:
        raise RuntimeError(f"events are missing: {counts}")
    _line("durable events written on the way", sum(counts.values()), "events")
    server.close()


async def _compare(
    upstream: int, port: int, key: str, body: bytes, clients: int
) -> tuple[load.Figures, load.Figures]:
    """Direct and through the gateway in turn; all rounds of each side together."""
    direct, through = load.Figures(), load.Figures()
    for _round in range(ROUNDS):
        for figures, where in ((direct, upstream), (through, port)):
            got = await load.run(where, key, body, clients, SECONDS / 2)
            figures.seconds += got.seconds
            figures.totals += got.totals
            figures.firsts += got.firsts
    return direct, through


async def _until_ready(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if b" 200 " in await reader.readline():
                return
            writer.close()
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise RuntimeError("the gateway did not become ready")


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _line(what: str, value: float, unit: str) -> None:
    print(f"{what}: {value:.2f} {unit}", flush=True)
