"""The gateway's writer of events: durable in batches, bounded, and not held up by a bad one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from django.db import connection
from django.db.models import QuerySet
from psycopg.conninfo import make_conninfo

from audit.ledger import group_commit, rows
from audit.ledger.actor import Actor, ActorKind
from audit.ledger.acts import Act
from audit.ledger.event import Draft, Obj
from audit.ledger.group_commit import GroupCommit
from audit.ledger.log import LogUnavailable
from audit.ledger.models import Event, Mention, Personal

pytestmark = pytest.mark.django_db(transaction=True)


def conninfo() -> str:
    config = connection.settings_dict
    return make_conninfo(
        dbname=config["NAME"], user=config["USER"], password=config["PASSWORD"], host=config["HOST"]
    )


def draft(actor_id: str = "a") -> Draft:
    objects = (Obj("deployment", "d", "claims"), Obj("node", "n", "n1"))
    return Draft(
        Actor(ActorKind.SERVICE, actor_id, "robot", "member"), Act.INFERENCE_ADMITTED, objects
    )


def stored() -> QuerySet[Event]:
    """What was submitted; the process's own last word is not."""
    return Event.objects.exclude(act=Act.PROCESS_STOPPED)


def filed() -> int:
    """What is found, asked from outside Django."""
    with psycopg.connect(conninfo()) as other:
        row = other.execute("SELECT count(*) FROM ledger_event").fetchone()
        return int(row[0]) if row else 0


def running(work: Callable[[GroupCommit], Awaitable[None]], *, bound: int = 2000) -> None:
    async def main() -> None:
        log = GroupCommit(conninfo(), log="test/audit/1", bound=bound)
        await log.start()
        try:
            await work(log)
        finally:
            await log.stop()

    asyncio.run(main())


def test_what_was_waited_for_is_stored_once_each_and_numbered_without_a_gap() -> None:
    async def work(log: GroupCommit) -> None:
        await asyncio.gather(*(log.write(draft()) for _ in range(300)))

    running(work)
    assert list(stored().order_by("wseq").values_list("wseq", flat=True)) == list(range(300))
    assert Personal.objects.filter(event__in=stored()).count() == 300
    assert Mention.objects.filter(object_id="n").count() == 300
    [boot] = set(Event.objects.values_list("boot", flat=True))
    assert boot is not None


def test_an_event_that_no_database_takes_does_not_hold_up_the_others() -> None:
    async def work(log: GroupCommit) -> None:
        good = [log.submit(draft()) for _ in range(10)]
        bad = log.submit(draft())
        log._queue[-1].event.personal["values"] = {"actor.name": "\x00"}
        good += [log.submit(draft()) for _ in range(10)]
        with pytest.raises(LogUnavailable):
            await bad
        await asyncio.gather(*good)

    running(work)
    assert stored().count() == 20


def test_beyond_its_bound_it_refuses() -> None:
    async def work(log: GroupCommit) -> None:
        waiting = [log.submit(draft()) for _ in range(5)]
        with pytest.raises(LogUnavailable, match="too many"):
            log.submit(draft())
        await asyncio.gather(*waiting, log.submit(draft(), ends=log.boot))

    running(work, bound=5)
    assert stored().count() == 6


def test_a_database_that_is_away_refuses_at_once() -> None:
    async def main() -> None:
        log = GroupCommit("host=/nowhere user=x", log="test/audit/1")
        await log.start()
        assert not log.healthy
        with pytest.raises(LogUnavailable):
            log.submit(draft())
        await log.stop(timeout_s=0.2)

    asyncio.run(main())


def test_a_database_that_comes_late_is_found() -> None:
    """The gateway may be up before its database; nothing else wakes the writer then."""

    async def main() -> None:
        log = GroupCommit("host=/nowhere user=x", log="test/audit/1")
        await log.start()
        log._conninfo = conninfo()
        deadline = time.monotonic() + 10
        while log.failure and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        await log.write(draft())
        await log.stop()

    asyncio.run(main())
    assert stored().count() == 1


def test_a_connection_that_is_cut_is_made_again_and_nothing_is_lost() -> None:
    async def work(log: GroupCommit) -> None:
        await log.write(draft())
        with psycopg.connect(conninfo(), autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'fusebox-group-commit'"
            )
        await asyncio.wait_for(log.submit(draft(), ends=log.boot), 10)
        await log.write(draft())

    running(work)
    assert stored().count() == 3


def test_where_nobody_seals_it_files_what_it_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens is found by those who search, also while the sealer is away."""
    monkeypatch.setattr(group_commit, "BEAT_S", 0.2)
    monkeypatch.setattr(rows, "FILE_LATE", rows.FILE_LATE.replace("5 seconds", "0 seconds"))

    async def work(log: GroupCommit) -> None:
        await log.write(draft())
        deadline = time.monotonic() + 10
        while not filed() and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        assert filed() == 1

    running(work)


def test_who_gives_up_waiting_has_stored_it_all_the_same() -> None:
    async def work(log: GroupCommit) -> None:
        with pytest.raises(LogUnavailable, match="too long"):
            await log.write(draft(), timeout_s=0)
        await log.write(draft())

    running(work)
    assert stored().count() == 2
