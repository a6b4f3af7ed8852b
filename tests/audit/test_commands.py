"""manage.py audit_export and audit_events: whole files or none, and errors in sentences."""

from __future__ import annotations

import csv
import getpass
import io
import json
import resource
import stat
import sys
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit.ledger.acts import Act
from audit.ledger.models import Event
from audit.office import formats
from audit.office.export import Stream
from tests.audit.conftest import Happen

transactional = pytest.mark.django_db(transaction=True)


def run(output: object, *arguments: str) -> None:
    call_command("audit_export", "--output", str(output), *arguments, stderr=io.StringIO())


@transactional
def test_the_log_as_a_file(happen: Happen, tmp_path: Path) -> None:
    made = [happen(Act.NODE_REMOVE), happen(Act.NODE_REGISTER)]
    run(tmp_path / "events.jsonl", "--format", "jsonl")
    assert (tmp_path / "events.jsonl").read_bytes() == b"".join(e.leaf + b"\n" for e in made)
    run(tmp_path / "events.csv", "--format", "csv")
    text = (tmp_path / "events.csv").read_text("utf-8-sig")
    acts = [row["Action"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    assert acts == ["node.remove", "node.register", "audit.export"]
    assert stat.S_IMODE((tmp_path / "events.csv").stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events.csv", "events.jsonl"]


@transactional
def test_it_is_recorded_with_who_ran_it(happen: Happen, tmp_path: Path) -> None:
    made = happen()
    run(tmp_path / "x", "--format", "csv", "--from", "2026-11-01", "--to", "2099-01-01")
    event = Event.objects.get(act=Act.AUDIT_EXPORT)
    leaf = json.loads(bytes(event.leaf))
    assert leaf["actor"] == {"type": "system", "id": "system:audit_export", "name": "audit_export"}
    assert leaf["details"] == {
        "format": "csv", "count": 1, "newest": str(made.id), "os_user": getpass.getuser()
    }  # fmt: skip
    assert [c["field"] for c in leaf["chg"]] == ["start", "end"]


@transactional
def test_standard_output(happen: Happen, monkeypatch: pytest.MonkeyPatch) -> None:
    made = happen()
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    run("-", "--format", "jsonl")
    assert out.buffer.getvalue() == made.leaf + b"\n"  # type: ignore[attr-defined]


@transactional
def test_times_bound_it(happen: Happen, tmp_path: Path) -> None:
    happen()
    run(tmp_path / "x", "--format", "jsonl", "--to", "2020-01-01")
    assert (tmp_path / "x").read_bytes() == b""


@transactional
def test_what_was_there_stays_when_it_fails(
    happen: Happen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away in the middle: its own error, caused for real."""
    happen()
    read = Stream.read

    def read_until_the_database_goes(self: Stream) -> bytes:
        with psycopg.connect(**connection.get_connection_params()) as other:
            pid = self._connection.info.backend_pid
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        return read(self)

    (tmp_path / "x").write_text("of yesterday")
    monkeypatch.setattr(Stream, "read", read_until_the_database_goes)
    with pytest.raises(CommandError, match="broke off"):
        run(tmp_path / "x", "--format", "jsonl")
    assert (tmp_path / "x").read_text() == "of yesterday"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("format", sorted(formats.ALL))
def test_every_format_is_a_file(tmp_path: Path, format: str) -> None:
    run(tmp_path / "x", "--format", format)
    assert (tmp_path / "x").is_file()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "yesterday"], "--from Write a time"),
        (["--from", "2026-11-02", "--to", "2026-11-01"], "--to The end is before"),
    ],
)
def test_a_time_that_is_none_is_refused(
    db: None, tmp_path: Path, arguments: list[str], said: str
) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        run(tmp_path / "x", "--format", "csv", *arguments)
    assert refused.value.returncode == 2
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_told_before_anything_is_recorded(
    db: None, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="cannot be written: No such file") as refused:
        run(tmp_path / "nowhere" / "x", "--format", "csv")
    assert refused.value.returncode == 2
    assert not Event.objects.exists()


@transactional
def test_a_disk_that_is_full_in_the_middle_breaks_it_off(happen: Happen, tmp_path: Path) -> None:
    happen()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(CommandError, match=r"broke off.*too large") as broken:
            run(tmp_path / "x", "--format", "jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert broken.value.returncode == 1
    assert not list(tmp_path.iterdir())


def test_the_document_of_events_is_as_the_code_says() -> None:
    call_command("audit_events", "--check")
