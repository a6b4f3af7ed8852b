"""Exports: the bytes as stored, one snapshot, and a failure that nobody can take for an end."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection
from django.utils import timezone, translation

from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event
from audit.office.content import restricted
from audit.office.export import Drawn, Stream
from audit.office.filters import Filter
from audit.office.formats import base
from tests.audit.conftest import Happen

pytestmark = pytest.mark.django_db(transaction=True)
HOSTILE = '=cmd|" /C calc"!A1,\u202e\n客服'


def rows(stream: Stream) -> list[dict[str, str]]:
    text = b"".join(stream).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def has_gone(stream: Stream, pid: int, deadline_s: float = 10) -> bool:
    """The connection of an export is closed on this side, and on the database's soon."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid])
            if cursor.fetchone() is None:
                return stream._connection.closed
        time.sleep(0.05)
    return False


def pid_of(stream: Stream) -> int:
    return stream._connection.info.backend_pid


def break_off(stream: Stream) -> None:
    """End the connection of an export, as a database that is shut down does."""
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(
            "SELECT pg_terminate_backend(%s, 5000)", [stream._connection.info.backend_pid]
        )


@pytest.fixture
def plenty(happen: Happen) -> int:
    """More than a piece, and than the buffers between us and the database."""
    happen(reason="x" * 1000)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_event (id, leaf, leaf_hash, at, writer, act, outcome, severity,"
            " actor_kind, actor_id, key_id, object_type, object_id, object_label, deployment,"
            " request_id) SELECT gen_random_uuid(), leaf, leaf_hash, at, writer, act, outcome,"
            " severity, actor_kind, actor_id, key_id, object_type, object_id, object_label,"
            " deployment, request_id FROM ledger_event, generate_series(1, 9999)"
        )
    return 10_000


def test_json_lines_are_the_stored_bytes(happen: Happen) -> None:
    for act in (Act.NODE_REMOVE, Act.NODE_REGISTER, Act.NODE_REMOVE):
        happen(act, Obj("node", "1", HOSTILE), name=HOSTILE, reason=HOSTILE)
    leaves = [bytes(e.leaf) for e in Event.objects.order_by("id")]
    stream = Stream(Filter(), "jsonl")
    data = b"".join(stream)
    assert data == b"".join(leaf + b"\n" for leaf in leaves)
    assert stream.count == 3
    assert [json.loads(line)["reason"] for line in data.splitlines()] == [HOSTILE] * 3
    filtered = b"".join(Stream(Filter(act="node.remove"), "jsonl"))
    assert filtered == leaves[0] + b"\n" + leaves[2] + b"\n"


@pytest.mark.parametrize("leaf", [b"\xff\x00", b'["x"]', b"{", b"[" * 15_000, b'{"a":"\\u0000"}'])
def test_leaves_that_somebody_broke_are_exported_as_they_are(happen: Happen, leaf: bytes) -> None:
    happen()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ledger_event (id, leaf, leaf_hash, at, writer, act, outcome,"
            " severity, actor_kind, actor_id, key_id, object_type, object_id, object_label,"
            " deployment, request_id) VALUES (gen_random_uuid(), %s, '', now(), '', 'x.y',"
            " 'success', 1, '', '', '', '', '', '', '', '')", [leaf])  # fmt: skip
    happen()
    assert leaf + b"\n" in b"".join(Stream(Filter(), "jsonl"))
    shown = rows(Stream(Filter(), "csv"))
    [broken] = [row for row in shown if row["Action"] == "x.y"]
    assert len(shown) == 3
    said = "" if leaf.startswith(b'{"a"') else "The stored bytes cannot be read."
    assert (broken["What"], broken["Reason"]) == ("x.y", said)


def test_csv_is_for_people(happen: Happen) -> None:
    made = happen(
        Act.INFERENCE_COMPLETED,
        Obj("deployment", "d-1", "claims"),
        name="li.wei",
        ip="10.0.0.7",
        request="r-1",
        use={"in_tok": 16, "out_tok": 32},
        ai={"model": "smollm2:135m"},
    )
    with timezone.override("Asia/Shanghai"):
        [row] = rows(Stream(Filter(), "csv"))
    event = Event.objects.get()
    local = timezone.localtime(event.at, ZoneInfo("Asia/Shanghai"))
    assert row == {
        "Time (UTC)": json.loads(made.leaf)["t"],
        "Local time": f"{local:%Y-%m-%d %H:%M:%S}+08:00",
        "What": "Request answered",
        "Action": "inference.completed",
        "Outcome": "success",
        "Reason": "",
        "Person": "li.wei",
        "Address": "10.0.0.7",
        "Kind of actor": "user",
        "Actor id": "id-of-somebody",
        "Role": "member",
        "Key id": "",
        "Object type": "deployment",
        "Object": "claims",
        "Object id": "d-1",
        "Deployment": "claims",
        "Model": "smollm2:135m",
        "Tokens in": "16",
        "Tokens out": "32",
        "Request id": "r-1",
        "Severity": "1",
        "Event id": str(made.id),
    }


def test_whoever_is_restricted_is_in_no_csv(
    happen: Happen, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = Obj("user", "p-1", "li.wei", personal=True)
    happen(Act.NODE_REMOVE, Obj("node", "1", "n1"), name="li.wei", id="p-1", ip="10.0.0.7")
    happen(Act.NODE_REMOVE, user, name="wang", id="p-2", ip="10.0.0.8")
    monkeypatch.setattr(restricted, "people", lambda: {"p-1": frozenset({"li.wei"})})
    data = b"".join(Stream(Filter(), "csv"))
    assert b"li.wei" not in data
    assert b"10.0.0.7" not in data
    first, second = rows(Stream(Filter(), "csv"))
    assert (first["Object"], second["Person"], second["Address"]) == ("n1", "wang", "10.0.0.8")


def test_csv_is_safe_to_open(happen: Happen) -> None:
    happen(Act.NODE_REMOVE, Obj("node", "+1", HOSTILE), name=HOSTILE, reason=HOSTILE)
    data = b"".join(Stream(Filter(), "csv"))
    assert data.startswith(b"\xef\xbb\xbfTime (UTC),")
    assert data.count(b"\n") == data.count(b"\r\n") == 2
    [row] = rows(Stream(Filter(), "csv"))
    shown = "'" + HOSTILE.replace("\u202e", "<U+202E>").replace("\n", "<U+000A>")
    assert (row["Person"], row["Object"], row["Reason"]) == (shown, shown, shown)
    assert row["Object id"] == "'+1"


def test_csv_speaks_the_language_of_the_reader(happen: Happen) -> None:
    happen(Act.NODE_REMOVE)
    with translation.override("zh-hans"):
        stream = Stream(Filter(), "csv")
    [row] = rows(stream)
    assert "Time (UTC)" not in row
    assert str(Act.NODE_REMOVE.sentence) not in row.values()


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_an_export_is_one_snapshot(happen: Happen, format: str) -> None:
    made = happen(Act.NODE_REMOVE)
    stream = Stream(Filter(), format)
    happen(Act.NODE_REGISTER)
    assert (stream.count, stream.newest) == (1, str(made.id))
    data = b"".join(stream)
    assert b"node.remove" in data
    assert b"node.register" not in data


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_an_empty_export_is_a_whole_file(db: None, format: str) -> None:
    stream = Stream(Filter(), format)
    data = b"".join(stream)
    assert (stream.count, data.count(b"\n")) == (0, 1 if format == "csv" else 0)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_failure_in_the_middle_is_no_end(plenty: int, format: str) -> None:
    stream = Stream(Filter(), format)
    pieces = iter(stream)
    assert next(pieces)
    break_off(stream)
    with pytest.raises(psycopg.Error):
        list(pieces)


def test_an_event_loop_draws_the_same_bytes(plenty: int) -> None:
    async def drawn() -> bytes:
        return b"".join([piece async for piece in Drawn(stream)])

    stream = Stream(Filter(), "csv")
    pid = pid_of(stream)
    assert asyncio.run(drawn()) == b"".join(Stream(Filter(), "csv"))
    assert has_gone(stream, pid)


def test_a_failure_in_the_middle_reaches_the_event_loop(plenty: int) -> None:
    async def drawn() -> None:
        pieces = aiter(Drawn(stream))
        await anext(pieces)
        await asyncio.to_thread(break_off, stream)
        while True:
            await anext(pieces)

    stream = Stream(Filter(), "jsonl")
    with pytest.raises(psycopg.Error):
        asyncio.run(drawn())


def test_a_reader_who_goes_away_leaves_nothing_behind(
    plenty: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PIECE_BYTES", 1)
    stream = Stream(Filter(), "jsonl")
    pid = pid_of(stream)

    async def drawn() -> None:
        async for _piece in Drawn(stream):
            pass

    async def go_away() -> None:
        task = asyncio.create_task(drawn())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go_away())
    assert has_gone(stream, pid)


def test_a_stream_that_is_never_read_is_closed(plenty: int) -> None:
    stream = Stream(Filter(), "csv")
    pid = pid_of(stream)
    Drawn(stream).close()
    assert has_gone(stream, pid)


def test_an_export_can_only_read(plenty: int) -> None:
    stream = Stream(Filter(), "csv")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        stream._connection.execute("DELETE FROM ledger_event")
    stream.close()
