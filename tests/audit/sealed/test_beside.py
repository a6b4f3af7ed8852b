"""What stands beside the bytes, compared in several processes: nothing is missed between them."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from audit.ledger import beside
from audit.ledger.check import NOT_COMPARED, Stopped
from audit.ledger.report import CANNOT, FINE, TAMPERED
from tests.audit.sealed.conftest import EVENTS, Sealed


@pytest.fixture
def shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a long log is, among three."""
    monkeypatch.setattr(beside, "ALONE", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)


def children() -> set[str]:
    listed = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "audit.ledger.beside"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return set(listed.stdout.split())


def bounds_of(sealed: Sealed) -> list[int]:
    """Positions on both sides of where one process ends and the next begins, and both ends."""
    return [0, EVENTS // 3 - 1, EVENTS // 3, EVENTS * 2 // 3 - 1, EVENTS * 2 // 3, EVENTS - 1]


def at(position: int) -> str:
    return f"(SELECT event_id FROM ledger_leaf WHERE position = {position})"


@pytest.mark.usefixtures("shared_out")
def test_a_log_that_is_whole_is_found_whole(sealed: Sealed) -> None:
    report = sealed.verify()
    assert (report.exit_code, report.events) == (FINE, EVENTS), report.lines()


@pytest.mark.usefixtures("shared_out")
@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        ("UPDATE ledger_event SET object_id = 'x' WHERE id = ", "the columns"),
        ("UPDATE ledger_event SET leaf_hash = '' WHERE id = ", "its stored hash"),
        ("UPDATE ledger_personal SET ip = '10.9.9.9' WHERE event_id = ", "the address"),
        ("DELETE FROM ledger_personal WHERE event_id = ", "its personal values are gone"),
    ],
)
def test_each_event_is_compared_by_one_of_them(sealed: Sealed, harm: str, problem: str) -> None:
    places = bounds_of(sealed)
    sealed.harm(*(harm + at(position) for position in places))
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert [text.split(",")[0] for text in report.integrity] == [f"leaf {p}" for p in places]
    assert all(problem in text for text in report.integrity), report.integrity
    assert report.events == EVENTS - len(places)


@pytest.mark.usefixtures("shared_out")
def test_of_an_event_the_bytes_are_told_first_and_once(sealed: Sealed) -> None:
    sealed.harm(
        f"UPDATE ledger_event SET object_id = 'x' WHERE id = {at(80)}",
        f"UPDATE ledger_event SET object_id = 'x', leaf = leaf || ' ' WHERE id = {at(400)}",
    )
    report = sealed.verify()
    assert [text[:9] for text in report.integrity] == ["leaf 80, ", "leaf 400,"]
    assert "not those that were sealed" in report.integrity[1]


@pytest.mark.usefixtures("shared_out")
def test_more_than_can_be_told_are_counted(sealed: Sealed) -> None:
    sealed.harm("UPDATE ledger_event SET act = 'x'")
    report = sealed.verify()
    assert len(report.integrity) == 20
    assert report.counts["integrity"] == EVENTS
    assert "… and 580 more" in report.lines()[-3].strip(), report.lines()


@pytest.mark.usefixtures("shared_out")
def test_one_that_is_killed_leaves_no_verdict(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[str] = []

    def progress(_done: int) -> None:
        if not killed:
            killed.extend(children())
            for pid in killed:
                os.kill(int(pid), signal.SIGKILL)

    report = sealed.verify(progress=progress)
    assert len(killed) == 3
    assert report.exit_code == CANNOT
    assert "ended with -9" in report.cannot[0]


@pytest.mark.usefixtures("shared_out")
def test_who_stops_a_verification_leaves_no_process_behind(sealed: Sealed) -> None:
    def progress(_done: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        sealed.verify(progress=progress)
    deadline = time.monotonic() + 5
    while children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert children() == set()


def test_the_bytes_alone_say_that_they_are_alone(sealed: Sealed) -> None:
    sealed.harm(f"UPDATE ledger_event SET object_id = 'x' WHERE id = {at(80)}")
    done = sealed.manage("audit_verify", "--bytes-only")
    assert done.returncode == FINE, done.stdout
    assert NOT_COMPARED in done.stdout
    sealed.seal()
    # It is none that a later one goes on from.
    assert sealed.manage("audit_verify", "--since-last").returncode == TAMPERED
