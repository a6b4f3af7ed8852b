"""What the gateway adds to a request, and what others add: in turn, its durable events on."""

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
from tests.bench import load, peers
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
        sides = {"direct": upstream, "gateway": port, **peers.start(engines, upstream)}
        asyncio.run(_measure(sides, key, gateway, environment["DATABASE_URL"]))


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
    sides: dict[str, int], key: str, gateway: subprocess.Popen[bytes], database: str
) -> None:
    server = await load.canned(sides["direct"])
    for port in list(sides.values())[1:]:
        await _until_ready(port)
    keys = {name: peers.KEY if name.startswith("LiteLLM") else key for name in sides}
    plain = orjson.dumps({"model": "bench", "messages": [QUESTION]})
    stream = orjson.dumps({"model": "bench", "messages": [QUESTION], "stream": True})

    one = await _compare(sides, keys, plain, 1)
    for name in list(sides)[1:]:
        added = one[name].total_p50_ms - one["direct"].total_p50_ms
        _line(f"{name} adds, JSON, 1 client, p50", added, "ms")
    one = await _compare(sides, keys, stream, 1)
    adds = {name: seen.first_p50_ms - one["direct"].first_p50_ms for name, seen in one.items()}
    for name in list(sides)[1:]:
        _line(f"{name} adds to the first byte, stream, 1 client, p50", adds[name], "ms")

    before = _cpu(gateway.pid)
    many = await _compare(sides, keys, plain, 16)
    spent = _cpu(gateway.pid) - before
    _line("gateway CPU a JSON request", spent * 1000 / len(many["gateway"].totals), "ms")
    _ratios("JSON", "requests/s", many)
    many = await _compare(sides, keys, stream, 16)
    _ratios("streams of 32 chunks", "streams/s", many)
    _line("gateway memory", _memory_mb(gateway.pid), "MB")
    with psycopg.connect(database) as connection:
        connection.execute(FILE, [10_000_000])
        rows = connection.execute("SELECT act, count(*) FROM ledger_event GROUP BY 1").fetchall()
    counts = {str(act): int(str(count)) for act, count in rows}
    if counts["inference.admitted"] != counts["inference.completed"]:
        raise RuntimeError(f"events are missing: {counts}")
    _line("durable events written on the way", sum(counts.values()), "events")
    server.close()


def _ratios(what: str, unit: str, seen: dict[str, load.Figures]) -> None:
    mine = seen["gateway"].rate
    for name, figures in seen.items():
        if name != "gateway":
            print(
                f"gateway {what} vs {name}, 16 clients: {mine:.0f} / {figures.rate:.0f} {unit}"
                f" = {mine / figures.rate:.2f}x",
                flush=True,
            )


async def _compare(
    sides: dict[str, int], keys: dict[str, str], body: bytes, clients: int
) -> dict[str, load.Figures]:
    """Each side in turn, again and again; all rounds of each together."""
    seen = {name: load.Figures() for name in sides}
    for _round in range(ROUNDS):
        for name, port in sides.items():
            got = await load.run(port, keys[name], body, clients, SECONDS / 2)
            seen[name].seconds += got.seconds
            seen[name].totals += got.totals
            seen[name].firsts += got.firsts
    return seen


async def _until_ready(port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            # A peer has no such address: that it answers is enough.
            if (await reader.readline())[9:10] in (b"2", b"4"):
                return
            writer.close()
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise RuntimeError(f"what listens on port {port} did not become ready")


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _line(what: str, value: float, unit: str) -> None:
    print(f"{what}: {value:.2f} {unit}", flush=True)
