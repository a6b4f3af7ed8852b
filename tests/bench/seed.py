"""Many events as they would have been written, stored by COPY: for figures and a look around."""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import orjson
import psycopg

from audit.ledger import event as building
from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
from audit.ledger.event import Change, Draft, Event, Obj, Writer, build
from audit.ledger.rows import EVENT_COLUMNS
from console.embedded.commands import engines_for

DAYS = 180
SLICE = 20_000
COPIES = {
    "event": f"COPY ledger_event ({', '.join(EVENT_COLUMNS)}) FROM STDIN",
    "personal": 'COPY ledger_personal (event_id, key, ip, "values") FROM STDIN',
    "mention": "COPY ledger_mention (object_id, event_id) FROM STDIN",
}
PEOPLE = [(str(UUID(int=i)), f"Person {i}", f"10.0.{i % 8}.{i % 250}") for i in range(1, 201)]
DEPLOYMENTS = [(str(UUID(int=1000 + i)), f"deployment-{i}") for i in range(20)]
RARE = (
    Act.AUTH_LOGIN,
    Act.NODE_REGISTER,
    Act.GRANT_CREATE,
    Act.DEPLOYMENT_CREATE,
    Act.AUTHZ_DENIED,
)


KEYS = """
SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c
WHERE c.conrelid::regclass::text IN ('ledger_event', 'ledger_personal', 'ledger_mention')
    AND (c.contype = 'f' OR c.conrelid = 'ledger_mention'::regclass AND c.contype = 'p')
"""
INDEXES = """
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i
WHERE i.indrelid::regclass::text IN ('ledger_event', 'ledger_personal') AND NOT i.indisprimary
"""


@contextmanager
def without_indexes(owner: str) -> Iterator[None]:
    """The tables of events with their primary keys alone; built again afterwards, which is several
    times faster than keeping them up to date. For an empty log that nobody else writes to."""
    with psycopg.connect(owner, autocommit=True) as connection:
        keys = connection.execute(KEYS).fetchall()
        indexes = connection.execute(INDEXES).fetchall()
        for table, name, _definition in keys:
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for name, _definition in indexes:
            connection.execute(f"DROP INDEX {name}")
    try:
        yield
    finally:
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute("SET maintenance_work_mem = '512MB'")
            for _name, definition in indexes:
                connection.execute(definition)
            for table, name, definition in keys:
                connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


def seed(url: str, count: int, *, log: str) -> float:
    """Store `count` events of the last half year, oldest first. Returns the seconds it took."""
    began = time.perf_counter()
    step = timedelta(days=DAYS) / count
    start = datetime.now(UTC) - timedelta(days=DAYS, minutes=1)
    parts = [
        (url, log, first, min(SLICE, count - first), start, step)
        for first in range(0, count, SLICE)
    ]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.imap_unordered(_store, parts), 1):
            print(f"\r  {min(done * SLICE, count):,} of {count:,} events", end="", flush=True)
    print()
    return time.perf_counter() - began


def _store(part: tuple[str, str, int, int, datetime, timedelta]) -> None:
    url = part[0]
    events = list(_events(part))
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        with cursor.copy(COPIES["event"]) as copy:
            for e in events:
                columns = e.columns
                copy.write_row(
                    (e.id, e.leaf, e.leaf_hash, *(columns[n] for n in EVENT_COLUMNS[3:]))
                )
        with cursor.copy(COPIES["personal"]) as copy:
            for e in events:
                copy.write_row(
                    (
                        e.id,
                        e.personal["key"],
                        e.personal["ip"],
                        orjson.dumps(e.personal["values"]).decode(),
                    )
                )
        with cursor.copy(COPIES["mention"]) as copy:
            for e in events:
                for object_id in e.mentions:
                    copy.write_row((object_id, e.id))


def _events(part: tuple[str, str, int, int, datetime, timedelta]) -> Iterator[Event]:
    _url, log, first, count, start, step = part
    dice, writer = random.Random(first), Writer("bench", uuid4())
    for number in range(first, first + count):
        moment = start + step * number
        # An event's id tells its time: here it is the time that is made up.
        made = functools.partial(_stamp, moment, number, dice)
        setattr(building, "stamp", made)  # noqa: B010  for this process of the bench only
        yield build(_draft(dice, number), log=log, now=moment, writer=writer, wseq=number - first)


def _stamp(moment: datetime, number: int, dice: random.Random) -> tuple[UUID, int]:
    ms = int(moment.timestamp() * 1000)
    tail = (2 << 62) | dice.getrandbits(62)
    return UUID(int=(ms << 80) | (7 << 76) | ((number & 0xFFF) << 64) | tail), ms * 1_000_000


def _draft(dice: random.Random, number: int) -> Draft:
    person, name, ip = dice.choice(PEOPLE)
    request = str(UUID(int=number // 2 + 1))
    actor = Actor(
        ActorKind.USER,
        person,
        name,
        "member",
        origin=Origin(ip, "Mozilla/5.0", request, "POST", "/v1/chat/completions"),
    )
    if dice.random() < 0.03:
        objects: tuple[Obj, ...] = (Obj("node", str(number % 50), f"node-{number % 50}"),)
        changes = (Change("url", None, f"http://10.1.0.{number % 250}"),)
        outcome = "denied" if dice.random() < 0.05 else "success"
        return Draft(actor, dice.choice(RARE), objects, outcome=outcome, changes=changes)
    pk, label = dice.choice(DEPLOYMENTS)
    objects = (
        Obj("deployment", pk, label),
        Obj("model", "a" * 64, "qwen3:4b"),
        Obj("node", "5", "node-5"),
    )
    act = Act.INFERENCE_COMPLETED if number % 2 else Act.INFERENCE_ADMITTED
    use = {"in_tok": 300, "out_tok": 120, "ms_first": 90, "ms_total": 2100} if number % 2 else {}
    return Draft(
        actor,
        act,
        objects,
        outcome="failure" if dice.random() < 0.01 else "success",
        ai={"deployment": label, "model": "qwen3:4b", "op": "chat", "stream": True},
        use=use,
    )


def main() -> None:
    """Into the log of the data folder, whose console may run or not."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else 0
    if not 0 < count <= 100_000_000:
        sys.exit("Say how many events: make seed-audit N=100000")
    with engines_for(["manage.py", "seed"]):
        seconds = seed(os.environ["DATABASE_URL"], count, log="fusebox.local/audit/1")
    print(f"{count:,} events in {seconds:.0f} s")


if __name__ == "__main__":
    main()
