"""The sealer as a process: one at a time, killed at any moment, set back, behind its own record."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from audit.ledger import leading, sealer, sealing
from audit.ledger.custody import Custody
from audit.ledger.leading import NotLeader
from audit.ledger.report import FINE
from audit.ledger.sealing import Sealer
from tests.architecture.source import ROOT
from tests.audit.sealed.conftest import EVENTS, LOG, Sealed
from tests.audit.sealed.test_intake import event, take_in

WRITE = """
import sys, threading
from django.db import connection
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
def work():
    while not stop.is_set():
        log.record_alone(Actor.system("load"), Act.AUTHZ_DENIED, outcome="denied")
    connection.close()
stop = threading.Event()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
sys.stdin.read()
stop.set()
for thread in threads: thread.join()
"""


def env_of(sealed: Sealed) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": sealed.web,
        "DATABASE_SEALER_URL": sealed.sealer,
        "FUSEBOX_SEALER_DIR": str(sealed.folder),
        "FUSEBOX_LOG_ORIGIN": LOG.origin,
        "DJANGO_SETTINGS_MODULE": "console.settings",
    }


@contextmanager
def process(sealed: Sealed) -> Iterator[subprocess.Popen[bytes]]:
    """A sealer of its own, signed in under the sealer's role."""
    child = subprocess.Popen(
        [sys.executable, "-m", "django", "audit_seal"],
        cwd=ROOT,
        env=env_of(sealed) | {"FUSEBOX_DB_AS": "sealer", "DATABASE_URL": sealed.sealer},
        stderr=subprocess.PIPE,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@contextmanager
def load(sealed: Sealed) -> Iterator[None]:
    """Four threads of another process store events as fast as they can."""
    child = subprocess.Popen(
        [sys.executable, "-m", "django", "shell", "--no-imports", "-c", WRITE],
        cwd=ROOT,
        env=env_of(sealed),
        stdin=subprocess.PIPE,
    )
    try:
        yield
    finally:
        child.communicate(timeout=30)


@contextmanager
def leader(sealed: Sealed) -> Iterator[Sealer]:
    """A sealer in this process, as the sealer's role."""
    with psycopg.connect(sealed.sealer) as connection:
        made = Sealer(connection, sealed.custody, LOG)
        made.lead()
        yield made


def count(sealed: Sealed, table: str) -> int:
    [[found]] = sealed.ask(f"SELECT count(*) FROM ledger_{table}")
    return int(found)


def until(what: str, sealed: Sealed, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while sealed.ask(f"SELECT ({what})") != [(True,)]:
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_what_is_committed_is_sealed_and_signed(sealed: Sealed) -> None:
    with process(sealed):
        sealed.happen(5)
        until("SELECT count(*) = 0 FROM ledger_pending", sealed)
        with psycopg.connect(sealed.web, autocommit=True) as connection:
            connection.execute(f"NOTIFY {sealing.CHANNEL}")
        until(f"SELECT max(size) >= {EVENTS + 10} FROM ledger_checkpoint", sealed)
    assert sealed.verify(own_head=True).exit_code == FINE


def test_one_seals_and_the_other_stands_by(sealed: Sealed) -> None:
    with leader(sealed), pytest.raises(NotLeader):
        sealer.seal_once(sealed.sealer, sealed.custody, LOG)


def test_the_webs_role_cannot_keep_it_from_sealing(sealed: Sealed) -> None:
    """By no lock of its own, and by no name that its session gives itself."""
    sealed.happen()
    with psycopg.connect(sealed.web, application_name=leading.LEADS) as web:
        web.execute("SELECT pg_advisory_lock(24225), pg_advisory_lock_shared(24225)")
        web.execute("SELECT * FROM ledger_sealer")
        for mode in ("ROW SHARE", "ROW EXCLUSIVE", "SHARE ROW EXCLUSIVE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), web.transaction():
                web.execute(f"LOCK TABLE ledger_sealer IN {mode} MODE")
        sealed.seal()
    assert count(sealed, "leaf") == count(sealed, "event")


def test_what_is_filed_is_sealed_though_somebody_hinders_the_filing(sealed: Sealed) -> None:
    sealed.happen()
    take_in(sealed.web, [event(0)])
    with psycopg.connect(sealed.web) as web:
        web.execute("SELECT pg_advisory_lock(hashtext('ledger_file'))")
        sealed.seal()
        assert count(sealed, "leaf") == count(sealed, "event") == EVENTS + 2
    sealed.seal()
    assert count(sealed, "leaf") == EVENTS + 3


def test_one_that_lost_its_session_cannot_commit(sealed: Sealed) -> None:
    sealed.happen()
    with leader(sealed) as first:
        with psycopg.connect(sealed.superuser, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename ="
                " 'fusebox_sealer'"
            )
        sealer.seal_once(sealed.sealer, sealed.custody, LOG)
        with pytest.raises(psycopg.OperationalError):
            first.step()
        first.connection.close()
    assert sealed.verify(own_head=True).exit_code == FINE


def test_killed_at_any_moment_it_goes_on_without_gap_or_double(sealed: Sealed) -> None:
    random.seed(7)
    with load(sealed):
        for _ in range(20):
            with process(sealed) as child:
                until("SELECT count(*) > 0 FROM ledger_pending", sealed)
                time.sleep(random.uniform(0.7, 1.6))
                child.send_signal(signal.SIGKILL)
    sealed.seal()
    report = sealed.verify(own_head=True)
    assert report.first == ""
    assert report.size == count(sealed, "event") > EVENTS


CRASH_POINTS = ("seal", "keep", "sign")


@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.parametrize("before", [True, False])
def test_a_crash_at_each_instruction_is_made_good(
    sealed: Sealed, point: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after: what is sealed is committed, the record is kept, the head is stored."""

    class Crash(Exception):
        pass

    def crash(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def crashing(*args: object, **kwargs: object) -> object:
            if not before:
                real(*args, **kwargs)
            raise Crash

        monkeypatch.setattr(owner, name, crashing)

    sealed.happen(3)
    with leader(sealed) as first:
        if point == "seal":
            crash(first, "_seal")
        elif point == "keep":
            crash(first.custody, "keep")
        with pytest.raises(Crash):
            first.step()
            if point == "sign":
                crash(first.custody, "keep")
            first.sign()
    monkeypatch.undo()
    sealed.seal()
    assert sealed.verify(own_head=True).first == ""
    assert count(sealed, "leaf") == count(sealed, "event")


def test_a_record_that_cannot_be_read_stops_it_and_says_so(sealed: Sealed) -> None:
    sealed.custody.head_file.write_text("{")
    stop = threading.Event()
    thread = threading.Thread(target=sealer.run, args=(sealed.sealer, sealed.custody, LOG, stop))
    thread.start()
    until("SELECT state = 'broken' FROM ledger_sealer", sealed)
    stop.set()
    thread.join()


def test_a_log_keeps_its_hash(sealed: Sealed) -> None:
    done = sealed.manage("audit_seal", "--once", FUSEBOX_LOG_PROFILE="gm", FUSEBOX_DB_AS="sealer")
    assert done.returncode == 1
    assert "keeps its name and its hash" in done.stderr


def test_a_clock_set_back_does_not_turn_time_around(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed.happen()
    real = sealing._now
    monkeypatch.setattr(sealing, "_now", lambda: real() - timedelta(hours=1))
    sealed.seal()
    steps = "SELECT count(*) FROM ledger_event WHERE act = 'audit.clock_step'"
    assert sealed.ask(steps) == [(1,)]
    turned = (
        "SELECT count(*) FROM ledger_leaf a JOIN ledger_leaf b ON b.position = a.position + 1"
        " WHERE b.sealed_at < a.sealed_at"
    )
    assert sealed.ask(turned) == [(0,)]
    assert sealed.verify(own_head=True).exit_code == FINE


def test_a_gap_in_sealing_is_an_event(sealed: Sealed) -> None:
    with psycopg.connect(sealed.superuser) as connection:
        connection.execute("UPDATE ledger_sealer SET beat_at = now() - interval '5 minutes'")
    sealed.seal()
    assert sealed.ask("SELECT count(*) FROM ledger_event WHERE act = 'audit.gap'") == [(1,)]


def test_a_new_key_is_named_by_the_old_one(sealed: Sealed) -> None:
    old = sealed.custody.certificate.read_text()
    sealed.change_key()
    assert sealed.custody.certificate.read_text() != old
    sealed.happen()
    sealed.seal()
    for certificate in (old, sealed.custody.certificate.read_text()):
        sealed.custody.certificate.write_text(certificate)
        assert sealed.verify(own_head=True).first == ""


def test_profile_gm_seals_with_sm3(sealed: Sealed, tmp_path: Path) -> None:
    """The same database cannot have two; an empty one begins under its own origin."""
    sealed.harm(
        "DELETE FROM ledger_leaf", "DELETE FROM ledger_tree", "DELETE FROM ledger_checkpoint",
        "DELETE FROM ledger_subtree", "DELETE FROM ledger_signingkey",
    )  # fmt: skip
    folder = tmp_path / "gm"
    log = sealer.log_of("fusebox.test/audit-gm/1", "sm3")
    with psycopg.connect(sealed.superuser) as connection:
        connection.execute("INSERT INTO ledger_pending (event_id) SELECT id FROM ledger_event")
    sealer.seal_once(sealed.sealer, Custody(folder), log)
    found = Sealed(sealed.name, sealed.installation, folder).verify(own_head=True)
    assert (found.origin, found.exit_code, found.size) == ("fusebox.test/audit-gm/1", FINE, EVENTS)


def test_the_sealers_role_may_not_change_events(sealed: Sealed) -> None:
    for statement in (
        "UPDATE ledger_event SET act = ''",
        "DELETE FROM ledger_leaf",
        "UPDATE ledger_checkpoint SET note = ''",
        "INSERT INTO ledger_acknowledgement (incident, person_id, reason)"
        " VALUES (gen_random_uuid(), gen_random_uuid(), '')",
        "UPDATE access_user SET is_active = false",
    ):
        with (
            psycopg.connect(sealed.sealer) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ledger_leaf SELECT 1, 99999, gen_random_uuid(), '\\x00', now()",
        "INSERT INTO ledger_checkpoint (tree, size, root, note, signed_at)"
        " VALUES (1, 1, '\\x00', '', now())",
        "INSERT INTO ledger_pending (event_id) VALUES (gen_random_uuid())",
        "DELETE FROM ledger_pending",
        "UPDATE ledger_sealer SET state = 'sealing'",
        "UPDATE ledger_process SET closed_at = now()",
        "INSERT INTO ledger_signingkey (vkey, tree, endorsement) VALUES ('x', 1, '')",
    ],
)
def test_the_webs_role_may_not_seal(sealed: Sealed, statement: str) -> None:
    with (
        psycopg.connect(sealed.web) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_every_event_waits_also_when_many_come_at_once(sealed: Sealed) -> None:
    before = count(sealed, "pending")
    with load(sealed):
        time.sleep(2)
    assert count(sealed, "pending") - before == count(sealed, "event") - EVENTS > 0
