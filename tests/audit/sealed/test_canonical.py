"""What somebody with the web's password may store and have sealed: it is no event of ours."""

from __future__ import annotations

import json
from collections.abc import Callable

import psycopg
import pytest

from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.canonical import leaf_hash
from audit.ledger.event import Draft, build
from audit.ledger.report import FINE, TAMPERED
from tests.audit.sealed.conftest import LOG, Sealed

Change = Callable[[bytes], bytes]


def store(sealed: Sealed, change: Change) -> None:
    """An event as the web's role may insert it, with other bytes than ours."""
    event = build(Draft(Actor.system("tests"), Act.NODE_STATUS), log=LOG.origin)
    leaf = change(event.leaf)
    columns = event.columns
    row = {"id": event.id, "leaf": leaf, "leaf_hash": leaf_hash(leaf), **columns}
    names, places = ", ".join(row), ", ".join(["%s"] * len(row))
    with psycopg.connect(sealed.web) as connection:
        connection.execute(
            f"INSERT INTO ledger_event ({names}) VALUES ({places})",
            [*row.values()],
        )
        connection.execute(
            'INSERT INTO ledger_personal (event_id, key, ip, "values") VALUES (%s, %s, %s, %s)',
            [event.id, event.personal["key"], event.personal["ip"],
             json.dumps(event.personal["values"])],
        )  # fmt: skip
    sealed.seal()


def test_one_of_ours_is_fine(sealed: Sealed) -> None:
    store(sealed, lambda leaf: leaf)
    assert sealed.verify().exit_code == FINE, sealed.verify().lines()


@pytest.mark.parametrize(
    "change",
    [
        lambda leaf: leaf.replace(b'":', b'": ', 1),
        lambda leaf: b'{"act":"auth.login",' + leaf[1:],
        lambda leaf: leaf[:-1] + b',"a":1}',
        lambda leaf: leaf[:-1] + b',"zz":1.5}',
        lambda leaf: leaf[:-1] + b',"zz":[{"a":1.5}]}',
        lambda leaf: leaf[:-1] + b',"zz":9223372036854775808}',
        lambda leaf: leaf[:-1] + b',"zz":9007199254740993}',
        lambda leaf: leaf[:-1] + b',"zz":NaN}',
        lambda leaf: leaf + b"\n",
        lambda leaf: leaf.replace(b'"tests"', b'"t\\u0065sts"'),
        lambda _leaf: b"[]",
    ],
    ids=["space", "key twice", "unsorted", "float", "float inside", "2^63", "2^53", "NaN", "end",
         "escaped", "list"],
)  # fmt: skip
def test_other_forms_are_none_of_ours(sealed: Sealed, change: Change) -> None:
    store(sealed, change)
    report = sealed.verify()
    assert report.exit_code == TAMPERED, report.lines()
    assert "leaf 600" in report.first


def test_a_column_that_lost_its_value_does_not_lose_its_place(sealed: Sealed) -> None:
    """A separator in one column cannot make up for another that is gone."""
    [[event]] = sealed.ask("SELECT event_id FROM ledger_leaf WHERE position = 76")
    sealed.harm(
        "ALTER TABLE ledger_event ALTER key_id DROP NOT NULL",
        "UPDATE ledger_event SET actor_id = actor_id || chr(31), key_id = NULL"
        f" WHERE id = '{event}'",
    )
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert any("leaf 76" in text and "columns" in text for text in report.integrity)


def test_personal_values_that_were_never_sealed_are_found(sealed: Sealed) -> None:
    """An event that has none cannot be given some."""
    store(sealed, lambda leaf: leaf)
    [[event]] = sealed.ask("SELECT event_id FROM ledger_leaf WHERE position = 600")
    sealed.harm(
        "ALTER TABLE ledger_personal ALTER key DROP NOT NULL",
        f"DELETE FROM ledger_personal WHERE event_id = '{event}'",
        'INSERT INTO ledger_personal (event_id, key, ip, "values")'
        f" VALUES ('{event}', NULL, '10.9.9.9', '{{\"actor.name\": \"Mallory\"}}')",
    )
    report = sealed.verify()
    assert report.exit_code == TAMPERED
    assert any("leaf 600" in text for text in report.integrity), report.lines()
