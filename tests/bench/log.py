"""The sealed log: sealing, verifying against pure hashing, exporting against psql, every filter."""

from __future__ import annotations

import asyncio
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import uvloop
from django.conf import settings
from django.db import connections

from audit.ledger import sealer
from audit.ledger.certificate import read_certificate
from audit.ledger.check import Verification
from audit.ledger.custody import Custody
from audit.ledger.group_commit import GroupCommit
from audit.ledger.tree import SHA256, Edge
from audit.office import search
from audit.office.export import Stream
from audit.office.filters import Filter
from tests.bench.audit import DRAFT
from tests.bench.seed import DEPLOYMENTS, PEOPLE, seed, without_indexes
from tests.bench.stage import stage

EVENTS = int(os.environ.get("N") or "200000")
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
    "person and outcome": {"person": PEOPLE[9][0], "outcome": "denied"},
    "person and action": {"person": PEOPLE[9][0], "act": "auth.login"},
    "deployment and outcome": {"deployment": DEPLOYMENTS[3][1], "outcome": "failure"},
    "action and outcome": {"act": "inference", "outcome": "denied"},
    "object and person": {"object": "node-7", "person": PEOPLE[9][0]},
    "address and action": {"address": PEOPLE[7][2], "act": "inference.completed"},
}


# The same columns, as somebody at psql would ask for them: of the leaf what is only there.
PSQL_CSV = """
COPY (SELECT to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    to_char(e.at, 'YYYY-MM-DD HH24:MI:SSTZH:TZM'), e.act, e.act, e.outcome, leaf.v ->> 'reason',
    p."values" ->> 'actor.name', p.ip, e.actor_kind, e.actor_id, leaf.v -> 'actor' ->> 'role',
    e.key_id, e.object_type, e.object_label, e.object_id, e.deployment,
    leaf.v -> 'ai' ->> 'model', leaf.v -> 'use' ->> 'in_tok', leaf.v -> 'use' ->> 'out_tok',
    e.request_id, e.severity, e.id
  FROM ledger_event e LEFT JOIN ledger_personal p ON p.event_id = e.id
  CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS v OFFSET 0) AS leaf
  ORDER BY e.id) TO STDOUT (FORMAT csv)
"""
EXPORT = """
import sys
import django
django.setup()
from audit.office.export import Stream
from audit.office.filters import Filter
def most():
    # Of this process alone: what getrusage says begins with the size of the one that forked it.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
before = most()
for piece in Stream(Filter(), sys.argv[1]): pass
print(f"{most():.0f} MB, {before:.0f} MB before it began (target: at most 100 MB)")
"""
SEAL = """
import sys, threading
from pathlib import Path
from audit.ledger import sealer
from audit.ledger.custody import Custody
sealer.run(sys.argv[1], Custody(Path(sys.argv[2])), sealer.log_of(sys.argv[3], "sha256"),
           threading.Event())
"""
PSQL_JSONL = "COPY (SELECT convert_from(leaf, 'UTF8') FROM ledger_event ORDER BY id) TO STDOUT"


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
        _export(engines.postgres.bin / "psql", owner, web)
        _pages()
        connections.close_all()
        uvloop.run(_latency(web, environment["DATABASE_SEALER_URL"], folder))


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

    def verify(*, beside: bool) -> None:
        report = Verification(url, certificate, beside=beside).run()
        assert (report.exit_code, report.events) == (0, EVENTS), report.lines()

    took = _rounds({
        "hashing": hashing,
        "tree in memory": tree,
        "the whole log": lambda: verify(beside=False),
        "the log and the copies beside it": lambda: verify(beside=True),
    })  # fmt: skip
    for name, seconds in took.items():
        print(f"log, {name}, {EVENTS:,} events: {seconds:.2f} s")
    for name, target in (
        ("the whole log", "V1, at most 4x"),
        ("the log and the copies beside it", "none"),
    ):
        _ratio(f"{name} vs pure hashing", took[name], took["hashing"], "s", target)


def _ratio(what: str, mine: float, other: float, unit: str, target: str) -> None:
    print(f"{what}: {mine:.2f} / {other:.2f} {unit} = {mine / other:.2f}x (target: {target})")


def _export(psql: Path, url: str, web: str) -> None:
    def ours(format: str) -> None:
        for _piece in Stream(Filter(), format):
            pass

    def theirs(query: str) -> None:
        subprocess.run([psql, url, "-qAtc", query], stdout=subprocess.DEVNULL, check=True)

    took = _rounds({
        "csv": lambda: ours("csv"), "psql csv": lambda: theirs(PSQL_CSV),
        "jsonl": lambda: ours("jsonl"), "psql jsonl": lambda: theirs(PSQL_JSONL),
    })  # fmt: skip
    for name, most in (("csv", "1.3x"), ("jsonl", "1.6x")):
        mine, other = took[name], took[f"psql {name}"]
        _ratio(f"E1 export {name} vs psql COPY", mine, other, "s", f"at most {most}")
    for format in ("csv", "jsonl"):
        print(
            f"E1 memory of a process that exports {EVENTS:,} events as {format}: {_memory(web, format)}"
        )


def _memory(url: str, format: str) -> str:
    """The most that a fresh process had, before and after."""
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, format],
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def pages() -> None:
    """The pages alone, at N events that are not sealed: `make bench-pages N=10000000`."""
    with stage() as (_engines, environment):
        owner = environment["DATABASE_OWNER_URL"]
        with without_indexes(owner):
            seconds = seed(environment["DATABASE_URL"], EVENTS, log=ORIGIN)
        print(f"log, {EVENTS:,} events stored in {seconds:.0f} s, their indexes built afterwards")
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        _use(environment["DATABASE_URL"])
        _pages()
        connections.close_all()


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
        median = statistics.median(times) * 1000
        print(f"L1 page by {name}: {median:.1f} ms{deep} (target: at most 50 ms)")


async def _latency(web: str, role: str, folder: str) -> None:
    """1,000 events a second offered: the wait for durability, and how long until sealed."""
    sealing = subprocess.Popen([sys.executable, "-c", SEAL, role, folder, ORIGIN])
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
    sealing.terminate()
    sealing.wait()
    with psycopg.connect(web) as connection:
        row = connection.execute(
            "SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM"
            " l.sealed_at - e.created_at)) FROM ledger_leaf l JOIN ledger_event e ON e.id = l.event_id"
            " WHERE l.position >= %s",
            [EVENTS],
        ).fetchone()
    p50, p99 = row[0] if row else (0, 0)
    print(
        f"A2 {OFFERED} events/s offered, wait p99: {statistics.quantiles(waits, n=100)[98] * 1000:.1f} ms (target: at most 15 ms)"
    )
    print(
        f"A2 {OFFERED} events/s offered, sealed after p50: {p50:.2f} s, p99: {p99:.2f} s (target: 2 s)"
    )
