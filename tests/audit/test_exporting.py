"""Exports that a worker makes: whole or not offered, taken up after a kill, fetched as an event."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone, translation
from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError

from access.errors import WrongState
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.models import Event
from audit.office import actions, exporting, formats, runs
from audit.office.export import Stream
from audit.office.filters import Filter
from audit.office.formats.base import About, Draw, Record
from audit.office.models import Export, RunState
from audit.office.reading import read_leaf
from tests.audit.conftest import Happen

pytestmark = pytest.mark.django_db(transaction=True)
AUDITOR = Actor.system("audit_export")


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.EXPORTS = tmp_path / "exports"
    return tmp_path / "exports"


def asked(format: str = "jsonl", **values: str) -> Export:
    return actions.request_export(actor=AUDITOR, wanted=Filter.parse(values), format=format)


def made(format: str = "jsonl", **values: str) -> Export:
    row = asked(format, **values)
    exporting.run(str(row.pk))
    row.refresh_from_db()
    return row


def leaves(act: Act) -> list[dict[str, Any]]:
    return [read_leaf(bytes(e.leaf)) for e in Event.objects.filter(act=act).order_by("id")]


def test_the_file_is_what_a_page_would_have_streamed(happen: Happen, folder: Path) -> None:
    for number in range(30):
        happen(request=f"r-{number % 3}")
    row = made(request="r-1")
    whole = b"".join(Stream(Filter.parse({"request": "r-1"}), "jsonl"))
    file = folder / row.stored
    assert (row.state, row.done, row.total) == (RunState.DONE, 10, 10)
    assert file.read_bytes() == whole
    assert row.sha256 == hashlib.sha256(whole).hexdigest()
    assert row.size == len(whole)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("format", sorted(formats.ALL))
def test_every_format_can_be_made(format: str, happen: Happen, folder: Path) -> None:
    happen()
    row = made(format)
    assert (row.state, row.problem) == (RunState.DONE, "")
    assert [f.name for f in folder.iterdir()] == [row.stored]


def test_it_speaks_the_language_of_who_asked(happen: Happen, folder: Path) -> None:
    happen()
    with translation.override("zh-hans"):
        row = asked("csv")
    exporting.run(str(row.pk))
    row.refresh_from_db()
    assert "结果" in (folder / row.stored).read_text("utf-8-sig").splitlines()[0]


def test_more_than_a_page_makes_goes_to_a_worker(
    happen: Happen, client_of: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = dataclasses.replace(formats.ALL["csv"], in_request=3)
    monkeypatch.setitem(formats.ALL, "csv", small)
    for _ in range(4):
        happen(request="many")
    answer = client_of("audit").post("/audit/export/", {"format": "csv", "request": "many"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/audit/exports/")
    row = Export.objects.get()
    assert (row.format, row.query, row.state) == ("csv", {"request": "many"}, RunState.QUEUED)


def test_what_is_fetched_is_the_file_and_an_event_with_its_hash(
    happen: Happen, client_of: Callable[[str], Client], folder: Path
) -> None:
    happen()
    row = made("csv")
    client = client_of("audit")
    page = client.get("/audit/exports/").content.decode()
    assert row.sha256 in page
    answer = client.post(f"/audit/exports/{row.pk}/fetch/")
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert body == (folder / row.stored).read_bytes()
    assert answer.headers["Content-Disposition"].endswith('.csv"')
    assert leaves(Act.AUDIT_FETCH_EXPORT)[-1]["details"]["sha256"] == row.sha256


def test_what_is_not_whole_is_not_offered(client_of: Callable[[str], Client]) -> None:
    row = asked()
    answer = client_of("audit").post(f"/audit/exports/{row.pk}/fetch/")
    assert answer.status_code == 409
    assert "/fetch/" not in client_of("audit").get("/audit/exports/").content.decode()


def test_a_killed_worker_is_taken_over_and_its_late_end_counts_for_nothing(
    happen: Happen, folder: Path
) -> None:
    happen()
    row = asked()
    first = runs.take(Export, str(row.pk))
    assert first is not None
    assert runs.take(Export, str(row.pk)) is None
    assert runs.forgotten(Export) == []
    Export.objects.update(beat_at=timezone.now() - runs.STALE - timedelta(seconds=1))
    assert runs.forgotten(Export) == [row.pk]
    exporting.run(str(row.pk))
    assert not runs.finish(first, RunState.FAILED, problem="late")
    row.refresh_from_db()
    assert (row.state, row.attempt) == (RunState.DONE, 2)
    assert (folder / row.stored).exists()


def test_a_long_last_step_is_no_reason_to_take_it_over(
    happen: Happen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a workbook is closed: all is read, and nothing is told for longer than STALE."""
    happen()
    seen = []

    def begin(about: About) -> Draw:
        def draw(records: Iterator[Record]) -> Iterator[bytes]:
            yield str(len(list(records))).encode()
            Export.objects.update(beat_at=timezone.now() - 2 * runs.STALE)
            for _ in range(200):
                if not runs.forgotten(Export):
                    break
                time.sleep(0.02)
            seen.append(runs.forgotten(Export))

        return draw

    monkeypatch.setattr(runs, "BEAT_S", 0.05)
    slow = dataclasses.replace(formats.ALL["jsonl"], begin=begin)
    monkeypatch.setitem(formats.ALL, "jsonl", slow)
    row = made()
    assert (row.state, row.attempt, seen) == (RunState.DONE, 1, [[]])


def test_a_cancelled_one_leaves_no_file(happen: Happen, folder: Path) -> None:
    happen()
    row = asked()
    Export.objects.filter(pk=row.pk).update(cancel_requested_at=Now())
    exporting.run(str(row.pk))
    row.refresh_from_db()
    assert row.state == RunState.CANCELLED
    assert list(folder.iterdir()) == []


def test_one_that_nobody_began_is_cancelled_at_once() -> None:
    row = actions.cancel_export(actor=AUDITOR, export=asked())
    assert row.state == RunState.CANCELLED
    exporting.run(str(row.pk))
    row.refresh_from_db()
    assert row.state == RunState.CANCELLED
    with pytest.raises(WrongState):
        actions.cancel_export(actor=AUDITOR, export=row)


def test_a_full_or_closed_disk_is_said_and_leaves_nothing(happen: Happen, folder: Path) -> None:
    happen()
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("not a folder")
    row = made()
    assert row.state == RunState.FAILED
    assert "cannot be written" in row.problem


def test_a_workbook_that_cannot_be_written_is_said_like_any_file(
    happen: Happen, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen()

    close = Workbook.close

    def full(book: Workbook) -> None:
        close(book)
        raise FileCreateError(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    monkeypatch.setattr(Workbook, "close", full)
    row = made("xlsx")
    assert (row.state, "No space left" in row.problem) == (RunState.FAILED, True)
    assert row.problem.startswith("the file cannot be written")


def test_an_archive_without_a_sealer_fails_and_says_so(happen: Happen) -> None:
    happen()
    row = made("bundle")
    assert row.state == RunState.FAILED
    assert row.problem


def test_only_so_many_at_once() -> None:
    for _ in range(actions.exports.AT_ONCE):
        asked()
    with pytest.raises(WrongState):
        asked()


def test_old_ones_go_with_their_files_and_strays(happen: Happen, folder: Path) -> None:
    happen()
    old, young = made(), made("csv")
    long_ago = (timezone.now() - actions.exports.KEPT - timedelta(minutes=1)).timestamp()
    Export.objects.filter(pk=old.pk).update(
        finished_at=timezone.now() - actions.exports.KEPT - timedelta(minutes=1)
    )
    stray = folder / "stray.part"
    stray.write_text("left by a killed worker")
    for path in (stray, folder / old.stored):
        os.utime(path, (long_ago, long_ago))
    assert actions.discard_exports(actor=Actor.system("beat")) == 1
    assert [f.name for f in folder.iterdir()] == [young.stored]
    assert leaves(Act.AUDIT_DISCARD_EXPORTS)[-1]["details"]["count"] == 1
