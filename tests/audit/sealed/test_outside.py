"""Copies outside, on a real rsyslog over TLS and real folders: what is late, lost, forged, away."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from audit.ledger.certificate import read_certificate
from audit.ledger.models import Checkpoint
from audit.ledger.note import open_checkpoint
from audit.office.models import OutsideCopy
from audit.office.outside import folder as outside_folder
from tests.architecture.source import ROOT
from tests.audit.sealed.conftest import EVENTS, LOG, Sealed
from tests.audit.sealed.receiver import Receiver
from tests.certificates import Authority


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    folder = tmp_path / "rsyslog"
    folder.mkdir()
    made = Receiver(folder)
    made.start()
    yield made
    made.stop(signal.SIGKILL)


def forward(sealed: Sealed, **env: str) -> subprocess.CompletedProcess[str]:
    return sealed.manage("audit_forward", "--once", **env)


def row(sealed: Sealed, name: str = "siem") -> tuple[int, int, str]:
    """(position, size, problem)"""
    [found] = sealed.ask(
        f"SELECT position, size, problem FROM office_outsidecopy WHERE name = '{name}'"
    )
    return found[0], found[1], found[2]


def acts(sealed: Sealed) -> list[str]:
    rows = sealed.ask("SELECT act FROM ledger_event WHERE act LIKE 'audit.sink%' ORDER BY id")
    return [act for (act,) in rows]


# --- a SIEM ----------------------------------------------------------------------------------


def test_every_sealed_event_arrives_once_and_in_order(sealed: Sealed, receiver: Receiver) -> None:
    done = forward(sealed, **receiver.env)
    assert done.returncode == 0, done.stderr
    receiver.wait_for(EVENTS)
    assert receiver.positions() == list(range(EVENTS))
    assert row(sealed) == (EVENTS, EVENTS, "")


def test_a_signed_head_goes_along_and_verifies(sealed: Sealed, receiver: Receiver) -> None:
    forward(sealed, **receiver.env)
    receiver.wait_for(EVENTS)
    line = next(line for line in receiver.lines() if b" checkpoint [" in line)
    note = json.loads(line.split(b"] ", 1)[1])["checkpoint"]
    key = read_certificate(sealed.custody.certificate).key
    assert open_checkpoint(note, [key], LOG.origin).size == EVENTS


def test_what_is_not_sealed_yet_waits(sealed: Sealed, receiver: Receiver) -> None:
    sealed.happen(2)
    forward(sealed, **receiver.env)
    receiver.wait_for(EVENTS)
    assert row(sealed)[0] == EVENTS
    sealed.seal()
    forward(sealed, **receiver.env)
    receiver.wait_for(EVENTS + 4)
    assert receiver.positions() == list(range(EVENTS + 4))


def test_a_receiver_that_was_away_gets_what_it_missed_once(
    sealed: Sealed, receiver: Receiver
) -> None:
    forward(sealed, **receiver.env)
    receiver.wait_for(EVENTS)
    receiver.stop()
    sealed.happen(3)
    sealed.seal()
    done = forward(sealed, **receiver.env)
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert "refused" in row(sealed)[2]
    assert acts(sealed) == ["audit.sink_down"]
    receiver.start()
    sealed.seal()
    assert forward(sealed, **receiver.env).returncode == 0
    receiver.wait_for(EVENTS + 7)
    assert receiver.positions() == list(range(EVENTS + 7))
    assert acts(sealed) == ["audit.sink_down", "audit.sink_up"]
    assert row(sealed)[2] == ""


def test_a_receiver_that_never_reads_is_left_and_counts_for_nothing(
    sealed: Sealed, receiver: Receiver
) -> None:
    receiver.hold(signal.SIGSTOP)
    began = time.monotonic()
    done = forward(sealed, **receiver.env)
    assert done.returncode == 1
    assert "does not read" in done.stderr
    assert time.monotonic() - began < 60
    assert row(sealed)[:2] == (0, 0)
    receiver.hold(signal.SIGCONT)
    assert forward(sealed, **receiver.env).returncode == 0
    receiver.wait_for(EVENTS)


@pytest.mark.parametrize("after_s", [0.3, 0.6, 0.9])
def test_a_receiver_killed_in_the_middle_loses_nothing(
    sealed: Sealed, receiver: Receiver, after_s: float
) -> None:
    """A part of one batch may come twice, each time with its position."""
    sealed.happen(1500)
    sealed.seal()
    total = EVENTS + 3000
    child = serve(sealed, receiver)
    try:
        time.sleep(after_s)
        receiver.stop(signal.SIGKILL)
        receiver.start()
        receiver.wait_for(total)
    finally:
        stop(child)
    positions = receiver.positions()
    assert set(positions) >= set(range(total))
    assert len(positions) - len(set(positions)) <= 500


def test_a_forwarder_killed_in_the_middle_goes_on(sealed: Sealed, receiver: Receiver) -> None:
    sealed.happen(1500)
    sealed.seal()
    total = EVENTS + 3000
    for _ in range(3):
        child = serve(sealed, receiver)
        deadline = time.monotonic() + 20
        seen = len(receiver.positions())
        while len(receiver.positions()) == seen and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert forward(sealed, **receiver.env).returncode == 0
    receiver.wait_for(total)
    assert set(receiver.positions()) == set(range(total))
    assert len(receiver.positions()) - total <= 3 * 500


def test_another_authoritys_receiver_gets_nothing(
    sealed: Sealed, receiver: Receiver, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Authority(other)
    done = forward(sealed, **{**receiver.env, "FUSEBOX_SYSLOG_CA": str(other / "ca.pem")})
    assert done.returncode == 1
    assert "certificate" in done.stderr
    assert receiver.lines() == []


def test_a_receiver_under_another_name_gets_nothing(sealed: Sealed, receiver: Receiver) -> None:
    env = {**receiver.env, "FUSEBOX_SYSLOG_URL": f"tls://127.0.0.2:{receiver.port}"}
    assert forward(sealed, **env).returncode == 1
    assert receiver.lines() == []


def test_without_our_own_certificate_the_receiver_refuses(
    sealed: Sealed, receiver: Receiver
) -> None:
    env = {**receiver.env, "FUSEBOX_SYSLOG_CERT": "", "FUSEBOX_SYSLOG_KEY": ""}
    assert forward(sealed, **env).returncode == 1
    assert row(sealed)[0] == 0


@pytest.mark.parametrize("url", ["siem.example", "tcp://siem.example:514", "tls://", "tls://a/b"])
def test_there_is_no_way_without_tls(sealed: Sealed, url: str) -> None:
    done = sealed.manage("audit_forward", "--once", FUSEBOX_SYSLOG_URL=url)
    assert done.returncode == 2
    assert "tls://" in done.stderr


def test_an_event_that_is_gone_leaves_a_message_in_its_place(
    sealed: Sealed, receiver: Receiver
) -> None:
    [[gone]] = sealed.ask("SELECT event_id FROM ledger_leaf WHERE position = 41")
    sealed.harm(
        f"DELETE FROM ledger_personal WHERE event_id = '{gone}'",
        f"DELETE FROM ledger_mention WHERE event_id = '{gone}'",
        f"DELETE FROM ledger_event WHERE id = '{gone}'",
    )
    forward(sealed, **receiver.env)
    receiver.wait_for(EVENTS)
    line = next(line for line in receiver.lines() if b' seq="41"' in line)
    assert b"audit.missing" in line


def test_what_was_lost_there_can_be_sent_again(sealed: Sealed, receiver: Receiver) -> None:
    forward(sealed, **receiver.env)
    receiver.wait_for(EVENTS)
    (receiver.folder / "received.log").write_bytes(b"")
    done = sealed.manage("audit_forward", "--again-from", "500", **receiver.env)
    assert done.returncode == 0, done.stderr
    forward(sealed, **receiver.env)
    receiver.wait_for(EVENTS - 500)
    assert set(receiver.positions()) == set(range(500, EVENTS))


def test_a_port_that_is_no_receiver_is_said(sealed: Sealed) -> None:
    """Something accepts, says nothing and goes on saying nothing."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        threading.Thread(target=lambda: deaf.accept()[0].recv(1), daemon=True).start()
        url = f"tls://localhost:{deaf.getsockname()[1]}"
        done = sealed.manage("audit_forward", "--once", FUSEBOX_SYSLOG_URL=url)
    assert done.returncode == 1
    assert done.stderr


# --- a folder --------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "worm"
    made.mkdir()
    return made


def drop(sealed: Sealed, folder: Path) -> subprocess.CompletedProcess[str]:
    return sealed.manage("audit_forward", "--once", FUSEBOX_CHECKPOINT_DIR=str(folder))


def heads(sealed: Sealed, folder: Path) -> list[int]:
    key = read_certificate(sealed.custody.certificate).key
    files = sorted(folder.glob("checkpoint-*.txt"))
    return [open_checkpoint(f.read_text(), [key], LOG.origin).size for f in files]


def test_every_signed_head_becomes_a_file_of_its_own(sealed: Sealed, folder: Path) -> None:
    assert drop(sealed, folder).returncode == 0
    sealed.happen()
    sealed.seal()
    assert drop(sealed, folder).returncode == 0
    assert heads(sealed, folder)[-2:] == [EVENTS, EVENTS + 2]
    assert row(sealed, "folder")[1] == EVENTS + 2


def test_what_was_missed_is_written_when_the_folder_is_back(sealed: Sealed, folder: Path) -> None:
    drop(sealed, folder)
    shutil.move(folder, folder.with_name("away"))
    for _ in range(2):
        sealed.happen()
        sealed.seal()
    assert drop(sealed, folder).returncode == 1
    assert "No such file" in row(sealed, "folder")[2]
    shutil.move(folder.with_name("away"), folder)
    assert drop(sealed, folder).returncode == 0
    assert heads(sealed, folder)[-3:] == [EVENTS, EVENTS + 2, EVENTS + 4]
    assert acts(sealed) == ["audit.sink_down", "audit.sink_up"]


def test_a_link_in_its_place_is_refused(sealed: Sealed, folder: Path, tmp_path: Path) -> None:
    drop(sealed, folder)
    shutil.move(folder, tmp_path / "real")
    folder.symlink_to(tmp_path / "real")
    assert drop(sealed, folder).returncode == 1
    assert row(sealed, "folder")[2]


@pytest.mark.parametrize("harm", ["remove", "change", "link"])
def test_a_head_that_is_gone_or_changed_is_noticed(
    sealed: Sealed, folder: Path, harm: str, tmp_path: Path
) -> None:
    drop(sealed, folder)
    newest = max(folder.glob("checkpoint-*.txt"))
    data = newest.read_bytes()
    newest.unlink()
    if harm == "change":
        newest.write_bytes(data.replace(b"\n", b" "))
    if harm == "link":
        (tmp_path / "elsewhere").write_bytes(data)
        newest.symlink_to(tmp_path / "elsewhere")
    assert drop(sealed, folder).returncode == 1
    assert newest.name in row(sealed, "folder")[2]


def test_a_file_that_is_there_is_never_touched(sealed: Sealed, folder: Path) -> None:
    [[size]] = sealed.ask("SELECT max(size) FROM ledger_checkpoint")
    [[tree]] = sealed.ask("SELECT max(tree) FROM ledger_checkpoint")
    forged = folder / f"checkpoint-{tree:05}-{size:018}.txt"
    forged.write_text("forged")
    assert drop(sealed, folder).returncode == 0
    assert forged.read_text() == "forged"
    assert (folder / f"checkpoint-{tree:05}-{size:018}-1.txt").exists()


def test_a_head_that_was_not_written_whole_is_not_kept(folder: Path) -> None:
    """As on a disk that is nearly full: the system takes a part and calls it a success."""
    head = Checkpoint(tree=1, size=2, note="a signed head")
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            outside_folder._write(directory, head)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    outside_folder._write(directory, head)
    os.close(directory)
    assert sorted(file.read_text() for file in folder.iterdir()) == ["a sig", "a signed head"]


def test_a_folder_that_fails_is_noticed_within_ten_seconds_by_itself(
    sealed: Sealed, folder: Path
) -> None:
    child = serve(sealed, None, FUSEBOX_CHECKPOINT_DIR=str(folder))
    try:
        deadline = time.monotonic() + 30
        while not heads(sealed, folder) and time.monotonic() < deadline:
            time.sleep(0.1)
        shutil.rmtree(folder)
        deadline = time.monotonic() + 10
        while not row(sealed, "folder")[2]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        stop(child)
    assert acts(sealed) == ["audit.sink_down"]


def test_the_check_says_whether_all_copies_are_kept(sealed: Sealed, folder: Path) -> None:
    drop(sealed, folder)
    check = sealed.manage("audit_forward", "--check", FUSEBOX_CHECKPOINT_DIR=str(folder))
    assert check.returncode == 0
    shutil.rmtree(folder)
    drop(sealed, folder)
    check = sealed.manage("audit_forward", "--check", FUSEBOX_CHECKPOINT_DIR=str(folder))
    assert check.returncode == 1


def serve(sealed: Sealed, receiver: Receiver | None, **env: str) -> subprocess.Popen[bytes]:
    """A forwarder that runs until `stop`."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "audit_forward"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": sealed.web,
            "FUSEBOX_SEALER_DIR": str(sealed.folder),
            "FUSEBOX_LOG_ORIGIN": LOG.origin,
            **(receiver.env if receiver else {}),
            **env,
        },
        start_new_session=True,
    )


def stop(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0


@pytest.mark.django_db(transaction=True)
def test_the_page_of_the_log_shows_how_each_copy_stands(
    client_of: Callable[[str], Client],
) -> None:
    late = timezone.now() - timedelta(minutes=5)
    OutsideCopy.objects.create(name="siem", address="siem:6514", problem="<b>away</b>", size=3)
    OutsideCopy.objects.create(name="folder", address="/worm", size=7, beat_at=late)
    page = client_of("audit").get("/audit/log/").content.decode()
    assert "&lt;b&gt;away&lt;/b&gt;" in page
    assert "The forwarder is away." in page
