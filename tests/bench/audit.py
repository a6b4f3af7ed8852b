"""Durable events a second: group commit, one INSERT a transaction, a row-locked chain.

All three build the same event and make its bytes, its personal values and their key durable. The
rivals keep them in one table with a primary key and nothing else; ours is indexed for every filter.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable

import orjson
import psycopg
import uvloop

from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
from audit.ledger.event import Draft, Event, Obj, Writer, build
from audit.ledger.group_commit import GroupCommit
from audit.ledger.rows import FILE
from tests.bench.stage import stage

WAITERS = 64
ROUNDS = 3
SECONDS = 3.0
DRAFT = Draft(
    Actor(ActorKind.SERVICE, "0" * 36, "bench", "member", "1" * 36, Origin("127.0.0.1", "bench", "r" * 36, "POST", "/v1/chat/completions")),
    Act.INFERENCE_COMPLETED,
    (Obj("deployment", "2" * 36, "bench"), Obj("model", "3" * 64, "smollm2:135m")),
    ai={"deployment": "bench", "model": "smollm2:135m", "op": "chat", "stream": True},
    use={"in_tok": 16, "out_tok": 32, "ms_first": 20, "ms_total": 300},
)  # fmt: skip
WRITER = Writer("bench", uuid.uuid4())
TABLES = """
CREATE TABLE bench_plain (id uuid PRIMARY KEY, leaf bytea, key bytea, personal jsonb);
CREATE TABLE bench_head (one int PRIMARY KEY, hash bytea);
INSERT INTO bench_head VALUES (1, '');
"""
STORE = "INSERT INTO bench_plain (id, leaf, key, personal) VALUES (%s, %s, %s, %s)"
TARGETS = {"one INSERT a transaction": "at least 2.5x", "row-locked chain": "at least 20x"}


def main() -> None:
    with stage() as (_engines, environment):
        uvloop.run(_measure(environment["DATABASE_URL"], environment["DATABASE_OWNER_URL"]))


async def _measure(web: str, owner: str) -> None:
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(TABLES)
    log = GroupCommit(web, log="bench/audit/1", bound=10_000)
    await log.start()
    sides: dict[str, Callable[[psycopg.AsyncConnection[tuple[object, ...]]], Awaitable[None]]] = {
        "group commit": lambda _connection: log.write(DRAFT),
        "one INSERT a transaction": _insert,
        "row-locked chain": _chained,
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    waits: dict[str, list[float]] = {name: [] for name in sides}
    for _round in range(ROUNDS):
        for name, write in sides.items():
            rate, seen = await _run(web if name == "group commit" else owner, write)
            rates[name].append(rate)
            waits[name] += seen
    _file(web)
    await log.stop()
    best = statistics.median(rates["group commit"])
    for name, seen in rates.items():
        print(f"audit, {name}, {WAITERS} waiters: {statistics.median(seen):.0f} events/s")
        print(
            f"audit, {name}, wait p99: {statistics.quantiles(waits[name], n=100)[98] * 1000:.1f} ms"
        )
    for name, target in TARGETS.items():
        other = statistics.median(rates[name])
        ratio = f"{best:.0f} / {other:.0f} events/s = {best / other:.1f}x"
        print(f"A1 group commit vs {name}: {ratio} (target: {target})")


def _file(url: str) -> None:
    """What the group commit took in, moved to where it is found by every index."""
    began, filed = time.perf_counter(), 0
    with psycopg.connect(url, autocommit=True) as connection:
        while (row := connection.execute(FILE, [5000]).fetchone()) and row[0]:
            filed += row[0]
    seconds = time.perf_counter() - began
    print(f"audit, filing what was taken in, behind the wait: {filed / seconds:.0f} events/s")


async def _run(
    url: str, write: Callable[[psycopg.AsyncConnection[tuple[object, ...]]], Awaitable[None]]
) -> tuple[float, list[float]]:
    """Events a second and every wait, with WAITERS writers at once."""
    waits: list[float] = []
    connections = [
        await psycopg.AsyncConnection.connect(url, autocommit=True) for _ in range(WAITERS)
    ]
    end = time.perf_counter() + SECONDS

    async def writer(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        while time.perf_counter() < end:
            began = time.perf_counter()
            await write(connection)
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(writer(c) for c in connections))
    seconds = time.perf_counter() - began
    for connection in connections:
        await connection.close()
    return len(waits) / seconds, waits


def _event() -> tuple[Event, list[object]]:
    """An event as the group commit makes it, and what a table keeps of it."""
    event = build(DRAFT, log="bench/audit/1", writer=WRITER, wseq=0)
    personal = orjson.dumps(event.personal["values"]).decode()
    return event, [event.id, event.leaf, event.personal["key"], personal]


async def _insert(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    await connection.execute(STORE, _event()[1])


async def _chained(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    """The previous hash is read and written under a row lock: how a plain hash chain is kept."""
    event, values = _event()
    async with connection.transaction():
        cursor = await connection.execute("SELECT hash FROM bench_head WHERE one = 1 FOR UPDATE")
        row = await cursor.fetchone()
        before = bytes(row[0]) if row and isinstance(row[0], bytes) else b""
        digest = hashlib.sha256(before + event.leaf).digest()
        await connection.execute(STORE, values)
        await connection.execute("UPDATE bench_head SET hash = %s WHERE one = 1", [digest])
