"""Requests that a dead process left open: the sealer ends them, once."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import psycopg
import pytest

from audit.ledger import orphans
from audit.ledger.canonical import leaf_hash
from tests.audit.sealed.conftest import LOG, Sealed

BOOT = "00000000-0000-4000-8000-000000000001"
ADMIT = """
from audit.ledger import log, rows
from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
from audit.ledger.event import Draft, Obj, Writer, build
from uuid import UUID
import psycopg
from audit.ledger.connection import conninfo
who = lambda r: Actor(ActorKind.SERVICE, "robot", "Robot", "member", "k1",
                      Origin(ip="10.0.0.9", request_id=r))
acts = [("a", "admitted"), ("b", "admitted"), ("a", "completed"), ("b", "admitted"),
        ("c", "admitted"), ("c", "aborted")]
writer = Writer("gateway@x/1", UUID("BOOT"))
events = [
    build(Draft(who(request), Act("inference." + act), (Obj("deployment", "d", "claims"),)),
          log="fusebox.test/audit/1", writer=writer, wseq=n)
    for n, (request, act) in enumerate(acts)
]
with psycopg.connect(conninfo()) as connection:
    connection.execute("INSERT INTO ledger_process (boot, name) VALUES (%s, 'x')", [writer.boot])
    statement = rows.TAKE_IN.format(writer="SELECT boot FROM ledger_process WHERE boot = %s")
    connection.execute(statement, [writer.boot, *rows.taken_in(events)])
""".replace("BOOT", BOOT)


def admit(sealed: Sealed, *, silent: bool) -> None:
    done = sealed.manage("shell", "--no-imports", "-c", ADMIT)
    assert done.returncode == 0, done.stderr
    if silent:
        with psycopg.connect(sealed.superuser) as connection:
            connection.execute("UPDATE ledger_process SET beat_at = now() - interval '61 s'")


@pytest.fixture
def long_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the tests' own server had been up for more than a minute."""
    either = orphans.SILENT_PROCESSES.replace("now() - %s\n  AND", "now() - %s\n  OR")
    monkeypatch.setattr(orphans, "SILENT_PROCESSES", either)


def forge(sealed: Sealed, leaves: Sequence[bytes]) -> None:
    """Admissions that whoever has the web's role can store, of the process that falls silent."""
    with psycopg.connect(sealed.web) as connection:
        for leaf in leaves:
            event_id = uuid4()
            connection.execute(
                "INSERT INTO ledger_event (id, leaf, leaf_hash, at, writer, boot, act, outcome,"
                " severity, actor_kind, actor_id, key_id, object_type, object_id, object_label,"
                " deployment, request_id) VALUES (%s, %s, %s, now(), '', %s, 'inference.admitted',"
                " 'success', 0, '', '', '', '', '', '', '', %s)",
                [event_id, leaf, leaf_hash(leaf), BOOT, str(event_id)],
            )
            connection.execute(
                'INSERT INTO ledger_personal (event_id, key, ip, "values")'
                " VALUES (%s, '', '', '[5]')",
                [event_id],
            )


READABLE = b'{"actor":{"id":"%s","type":"user"},"id":"1","log":"x"%s}'


@pytest.mark.usefixtures("long_up")
@pytest.mark.parametrize(
    "leaf",
    [
        b"", b"{}", b"[]", b"\xff", b'{"actor":[]}', b'{"actor":{"type":"zz","id":"x"},"id":"1"}',
        READABLE % (b"x", b',"obj":[1]'), READABLE % (b"x", b',"obj":{"a":1}'),
        READABLE % (b"x", b',"req":{"id":7}'), READABLE % (b"x", b',"req":5'),
        READABLE % (b"x", b',"ai":' + b'{"a":' * 5000 + b"1" + b"}" * 5001),
        READABLE % (b"\\ud800", b""), READABLE % (b"\\u0000", b""),
        # 2,704 bytes is the most that the index takes, after compression.
        READABLE % ("".join(chr(0x4E00 + n * n % 20000) for n in range(9000)).encode(), b""),
    ],
    ids=lambda leaf: leaf[:60].decode("latin-1"),
)  # fmt: skip
def test_an_admission_that_cannot_be_read_keeps_nobody_open(
    sealed: Sealed, leaf: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    admit(sealed, silent=True)
    forge(sealed, [leaf, leaf])
    with psycopg.connect(sealed.sealer, autocommit=True) as connection:
        assert orphans.close_silent(connection, LOG.origin) == 2
    assert caplog.text.count("cannot be ended") == 2
    assert sealed.ask("SELECT count(*) FROM ledger_process WHERE closed_at IS NULL") == [(0,)]


@pytest.mark.usefixtures("long_up")
def test_what_a_silent_process_left_open_is_ended(sealed: Sealed) -> None:
    admit(sealed, silent=True)
    with psycopg.connect(sealed.sealer, autocommit=True) as connection:
        assert orphans.close_silent(connection, LOG.origin) == 2
        assert orphans.close_silent(connection, LOG.origin) == 0
    ends = sealed.ask(
        "SELECT request_id, actor_id, key_id, deployment, outcome FROM ledger_event"
        " WHERE act = 'inference.aborted' AND boot IS NULL"
    )
    assert ends == [("b", "robot", "k1", "claims", "aborted")] * 2
    sealed.seal()
    assert sealed.verify(own_head=True).first == ""


def test_a_process_that_lives_is_left_alone(sealed: Sealed) -> None:
    admit(sealed, silent=False)
    with psycopg.connect(sealed.sealer, autocommit=True) as connection:
        assert orphans.close_silent(connection, LOG.origin) == 0


def test_a_database_that_was_away_itself_closes_nobody(sealed: Sealed) -> None:
    """The tests' own server has not been up for long: nobody is silent yet."""
    admit(sealed, silent=True)
    with psycopg.connect(sealed.sealer, autocommit=True) as connection:
        row = connection.execute(
            "SELECT pg_postmaster_start_time() > now() - interval '60 s'"
        ).fetchone()
        closed = orphans.close_silent(connection, LOG.origin)
    assert (closed == 0) == bool(row and row[0])
