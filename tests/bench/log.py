"""The sealed log: sealing, verifying against pure hashing, exporting against psql, every filter."""

from __future__ import annotations

import asyncio
import hashlib
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import connections

from audit.ledger import sealer
from audit.ledger.certificate import read_certificate
from audit.ledger.check import Verification
from audit.ledger.custody import Custody
from audit.ledger.group_commit import GroupCommit
from audit.ledger.sealing import Log
from audit.ledger.tree import SHA256, Edge
from audit.office import search
from audit.office.export import Stream
from audit.office.filters import Filter
from tests.bench.audit import DRAFT
from tests.bench.seed import DEPLOYMENTS, PEOPLE, seed
from tests.bench.stage import stage

EVENTS = int(os.environ.get("N", "200000"))
ROUNDS = 3
OFFERED, SECONDS = 1000, 15
ORIGIN = "bench.test/audit/1"
FILTERS = {
    "nothing": {},
    "person": {"person": PEOPLE[7][0]},
    "person and time": {"person": PEOPLE[7][0], "start": "2026-09-01"},
    "action": {"act": "node.register"},
    "category": {"act": "inference"},
    "object": {"object": "node-7"},
    "deployment": {"deployment": DEPLOYMENTS[3][1]},
    "outcome": {"outcome": "denied"},
    "address": {"address": PEOPLE[7][2]},
    "request": {"request": "00000000-0000-0000-0000-0000000003e8"},
    "deployment and person": {"deployment": DEPLOYMENTS[3][1], "person": PEOPLE[9][0]},
}


def main() -> None:
    with stage() as (engines, environment), tempfile.TemporaryDirectory() as folder:
        web, owner = environment["DATABASE_URL"], environment["DATABASE_OWNER_URL"]
        seconds = seed(web, EVENTS, log=ORIGIN)
        print(f"log, {EVENTS:,} events stored with every index: {EVENTS / seconds:.0f} events/s")
        custody, log = Custody(Path(folder)), sealer.log_of(ORIGIN, "sha256")
        began = time.perf_counter()
        sealer.seal_once(environment["DATABASE_SEALER_URL"], custody, log)
        print(f"log, sealing what waits: {EVENTS / (time.perf_counter() - began):.0f} events/s")
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        _verify(web, custody)
        _use(web)
        _export(engines.postgres.bin / "psql", owner)
        _pages()
        connections.close_all()
        asyncio.run(_latency(web, environment["DATABASE_SEALER_URL"], custody, log))


def _use(url: str) -> None:
    """Django's own connection, on the stage's database."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host"}
    settings.DATABASES["default"] |= {key: parts[name] for key, name in names.items()}
    connections["default"].settings_dict |= settings.DATABASES["default"]


def _rounds(sides: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median seconds of each side, interleaved."""
    seen: dict[str, list[float]] = {name: [] for name in sides}
    for _round in range(ROUNDS):
        for name, work in sides.items():
            began = time.perf_counter()
            work()
            seen[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in seen.items()}


def _verify(url: str, custody: Custody) -> None:
    with psycopg.connect(url) as connection:
        leaves = [
            bytes(leaf)
            for (leaf,) in connection.execute("SELECT leaf FROM ledger_event ORDER BY id")
        ]
    certificate = read_certificate(custody.certificate)

    def hashing() -> None:
        for leaf in leaves:
            hashlib.sha256(b"\x00" + leaf).digest()

    def tree() -> None:
        edge = Edge(SHA256)
        for leaf in leaves:
            edge.append(SHA256.leaf(leaf))

    def verify() -> None:
        report = Verification(url, certificate).run()
        assert report.exit_code == 0, report.first

    took = _rounds({"hashing": hashing, "tree": tree, "verify": verify})
    for name, seconds in took.items():
        print(f"log, {name} of {EVENTS:,} events: {seconds:.2f} s")
    print(
        f"full verification vs pure hashing: {took['verify']:.2f} / {took['hashing']:.2f} s = {took['verify'] / took['hashing']:.1f}x"
    )


def _export(psql: Path, url: str) -> None:
    text = "COPY (SELECT * FROM ledger_event ORDER BY id) TO STDOUT (FORMAT csv)"
    plain = "COPY (SELECT convert_from(leaf, 'UTF8') FROM ledger_event ORDER BY id) TO STDOUT"

    def ours(format: str) -> None:
        for _piece in Stream(Filter(), format):
            pass

    def theirs(query: str) -> None:
        subprocess.run([psql, url, "-qAtc", query], stdout=subprocess.DEVNULL, check=True)

    took = _rounds({
        "csv": lambda: ours("csv"), "psql csv": lambda: theirs(text),
        "jsonl": lambda: ours("jsonl"), "psql jsonl": lambda: theirs(plain),
    })  # fmt: skip
    for name in ("csv", "jsonl"):
        mine, other = took[name], took[f"psql {name}"]
        print(f"export {name} vs psql COPY: {mine:.2f} / {other:.2f} s = {mine / other:.1f}x")


def _pages() -> None:
    for name, values in FILTERS.items():
        wanted = Filter.parse(values)
        times = []
        for _round in range(5):
            began = time.perf_counter()
            page = search.page(wanted)
            times.append(time.perf_counter() - began)
        deep = ""
        if page.older:
            began = time.perf_counter()
            search.page(wanted, before=page.older)
            deep = f", next page {(time.perf_counter() - began) * 1000:.1f} ms"
        print(f"log, page by {name}: {statistics.median(times) * 1000:.1f} ms{deep}")


async def _latency(web: str, role: str, custody: Custody, log: Log) -> None:
    """1,000 events a second offered: the wait for durability, and how long until sealed."""
    stop = threading.Event()
    thread = threading.Thread(target=sealer.run, args=(role, custody, log, stop))
    thread.start()
    writer = GroupCommit(web, log=ORIGIN, bound=10_000)
    await writer.start()
    waits: list[float] = []

    async def one() -> None:
        began = time.perf_counter()
        await writer.write(DRAFT)
        waits.append(time.perf_counter() - began)

    tasks, began = [], time.perf_counter()
    for number in range(OFFERED * SECONDS):
        if (ahead := began + number / OFFERED - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    await writer.stop()
    await asyncio.sleep(2)
    stop.set()
    thread.join()
    with psycopg.connect(web) as connection:
        row = connection.execute(
            "SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM"
            " l.sealed_at - e.created_at)) FROM ledger_leaf l JOIN ledger_event e ON e.id = l.event_id"
            " WHERE l.position >= %s",
            [EVENTS],
        ).fetchone()
    p50, p99 = row[0] if row else (0, 0)
    print(
        f"log, {OFFERED} events/s offered, wait p99: {statistics.quantiles(waits, n=100)[98] * 1000:.1f} ms"
    )
    print(f"log, {OFFERED} events/s offered, sealed after p50: {p50:.2f} s, p99: {p99:.2f} s")
