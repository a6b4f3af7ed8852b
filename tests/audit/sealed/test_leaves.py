"""Rows of leaves and events that are not as the database would have them: named, and no stop."""

from __future__ import annotations

from contextlib import closing
from uuid import UUID

import psycopg
import pytest

from audit.ledger import streams
from audit.ledger.report import FINE, INCOMPLETE, TAMPERED
from audit.ledger.snapshot import snapshot
from audit.ledger.walk import Events, Numbering
from tests.audit.sealed.conftest import EVENTS, Sealed

AT = "(SELECT event_id FROM ledger_leaf WHERE position = 77)"
FAR = (
    "INSERT INTO ledger_leaf (tree, position, event_id, leaf_hash, sealed_at)"
    " SELECT tree, {}, gen_random_uuid(), leaf_hash, sealed_at FROM ledger_leaf WHERE position = 0"
)


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("value", ["'\\x'", "'\\x00'", "leaf_hash || '\\x00'"])
def test_a_hash_of_another_length_is_another(sealed: Sealed, value: str, beside: bool) -> None:
    sealed.harm(f"UPDATE ledger_leaf SET leaf_hash = {value} WHERE position = 77")
    report = sealed.verify(beside=beside)
    assert report.exit_code == TAMPERED
    assert report.first.startswith("leaf 77, "), report.lines()
    assert report.events == EVENTS - 1


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize(
    ("gone", "first"),
    [
        ("position = 0", 0),
        ("position = 255", 255),
        ("position BETWEEN 256 AND 511", 256),
        ("position BETWEEN 500 AND 520", 500),
        (f"position < {EVENTS - 1}", 0),
    ],
)
def test_the_first_of_missing_leaves_is_named(
    sealed: Sealed, gone: str, first: int, beside: bool
) -> None:
    sealed.harm(f"DELETE FROM ledger_leaf WHERE {gone}")
    report = sealed.verify(beside=beside)
    assert report.exit_code == INCOMPLETE
    assert report.first.startswith(f"leaf {first} of "), report.lines()


def test_a_position_that_two_leaves_have_is_missed_at_the_next(sealed: Sealed) -> None:
    sealed.harm(
        "ALTER TABLE ledger_leaf DROP CONSTRAINT ledger_leaf_pkey",
        "UPDATE ledger_leaf SET position = 76 WHERE position = 77",
    )
    report = sealed.verify(beside=False)
    assert report.exit_code == TAMPERED
    assert "the key of ledger_leaf" in report.integrity[0]
    assert report.completeness[0].startswith("leaf 77 of "), report.lines()


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("position", [EVENTS + 1, 10**12, 2**63 - 1])
def test_a_leaf_far_beyond_the_others_holds_nothing_up(
    sealed: Sealed, position: int, beside: bool
) -> None:
    sealed.harm(FAR.format(position))
    report = sealed.verify(beside=beside)
    assert report.exit_code == INCOMPLETE
    assert report.first.startswith(f"leaf {EVENTS} of "), report.lines()


def test_a_number_that_is_gone_is_missed(sealed: Sealed) -> None:
    sealed.harm(f"UPDATE ledger_event SET wseq = NULL WHERE id = {AT}")
    report = sealed.verify(beside=False)
    assert report.exit_code == INCOMPLETE
    assert "is missing" in report.first
    assert sealed.verify().exit_code == TAMPERED


def test_a_leaf_without_a_byte_is_another(sealed: Sealed) -> None:
    sealed.harm(f"UPDATE ledger_event SET leaf = '' WHERE id = {AT}")
    for beside in (True, False):
        report = sealed.verify(beside=beside)
        assert report.exit_code == TAMPERED
        assert report.first.startswith("leaf 77, "), report.lines()


def test_an_event_without_process_and_number_is_read(sealed: Sealed) -> None:
    sealed.harm(
        f"UPDATE ledger_event SET wseq = NULL, boot = NULL, leaf = '' WHERE id = {AT}",
    )
    report = sealed.verify(beside=False)
    assert report.exit_code == TAMPERED
    assert report.first.startswith("leaf 77, "), report.lines()


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize(
    ("table", "column"),
    [("ledger_event", "leaf"), ("ledger_leaf", "leaf_hash"), ("ledger_leaf", "event_id")],
)
def test_what_is_not_there_at_all_is_another(
    sealed: Sealed, table: str, column: str, beside: bool
) -> None:
    where = f"id = {AT}" if table == "ledger_event" else "position = 77"
    sealed.harm(
        f"ALTER TABLE {table} ALTER {column} DROP NOT NULL",
        f"UPDATE {table} SET {column} = NULL WHERE {where}",
    )
    report = sealed.verify(beside=beside)
    assert report.exit_code == TAMPERED
    found = report.integrity + report.completeness
    for words in ("leaf 77, event", f"the column {table}.{column} was changed"):
        assert any(words in line for line in found), report.lines()


def test_more_bytes_than_an_event_may_have_are_not_read(sealed: Sealed) -> None:
    sealed.harm(
        f"UPDATE ledger_event SET leaf = leaf || convert_to(repeat(' ', 100000), 'UTF8')"
        f" WHERE id = {AT}"
    )
    with (
        snapshot(sealed.web, None) as connection,
        closing(streams.events(connection, str(UUID(int=0)), hashed=False)) as pages,
    ):
        assert max(len(row[1]) for page in pages for row in page) < 16_385
    report = sealed.verify(beside=False)
    assert report.first.startswith("leaf 77, "), report.lines()


def test_missing_events_are_known_at_the_next_one() -> None:
    """What comes after is not gathered in search of them."""
    rows = [(bytes([number]), b"", None, None) for number in (1, 2, 7, 8, 9)]
    events = Events(iter([rows[:1], rows[1:3], rows[3:4], rows[4:]]), Numbering())
    assert events.take([bytes([number]) for number in (3, 4, 5, 6)]) == [None] * 4
    assert list(events.passed) == [b"\x01", b"\x02", b"\x07"]
    assert events.take([b"\x08", b"\x02"]) == [rows[3], rows[1]]
    assert list(events.rest()) == [b"\x01", b"\x07", b"\x09"]


@pytest.mark.parametrize("page", [1, 7, 255, 256, EVENTS])
def test_pages_of_any_size_read_each_once(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(streams, "PAGE", page)
    report = sealed.verify(beside=False)
    assert (report.exit_code, report.events) == (FINE, EVENTS), report.lines()
    sealed.harm(f"UPDATE ledger_event SET leaf = leaf || ' ' WHERE id = {AT}")
    report = sealed.verify(beside=False)
    assert report.first.startswith("leaf 77, ")
    assert report.events == EVENTS - 1


def test_an_event_of_the_last_id_there_is_is_read(sealed: Sealed) -> None:
    sealed.harm(f"UPDATE ledger_event SET id = '{UUID(int=2**128 - 1)}' WHERE id = {AT}")
    report = sealed.verify(beside=False)
    assert report.exit_code == INCOMPLETE
    assert any("event ffffffff-ffff" in text for text in report.completeness), report.lines()


def test_a_stream_that_is_not_read_to_its_end_leaves_the_transaction_as_it_was(
    sealed_template: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PAGE", 10)
    with snapshot(sealed_template.web, None) as connection:
        with closing(streams.leaves(connection, 1, 5)) as blocks:
            assert [leaf[0] for leaf in next(blocks)] == list(range(5, 15))
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_what_goes_wrong_is_raised(sealed_template: Sealed) -> None:
    with (
        snapshot(sealed_template.web, None) as connection,
        pytest.raises(psycopg.errors.InvalidTextRepresentation),
    ):
        next(streams.events(connection, "no id", hashed=False))
