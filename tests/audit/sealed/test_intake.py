"""The intake: what the gateway stores is filed as its leaf says, once, and nothing holds it up."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.ledger import rows
from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
from audit.ledger.canonical import NotCanonical
from audit.ledger.event import Draft, Event, Obj, Writer, build
from tests.audit.sealed.conftest import LOG, Sealed

WRITER = Writer("gateway@x/1", UUID("00000000-0000-4000-8000-00000000000a"))
OPEN = "SELECT boot FROM ledger_process WHERE boot = %s AND closed_at IS NULL"
NUMBERED = "INSERT INTO ledger_process (boot, name) VALUES (%s, 'x') ON CONFLICT DO NOTHING"
WHO = Actor(ActorKind.SERVICE, "robot", "Robot", "member", "k1", Origin("10.0.0.9", "curl"))
# Without lone surrogates; what is no letter of any language is welcome.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=260)
OBJECTS = st.lists(
    st.builds(
        Obj,
        st.sampled_from(["deployment", "model", "user"]),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=260),
        TEXT,
        st.booleans(),
    ),
    max_size=23,
)


def event(number: int, *objects: Obj, actor: Actor = WHO, **more: object) -> Event:
    draft = Draft(actor, Act.INFERENCE_ADMITTED, objects, **more)  # type: ignore[arg-type]
    return build(draft, log=LOG.origin, writer=WRITER, wseq=number)


def take_in(url: str, events: Sequence[Event]) -> int:
    with psycopg.connect(url) as connection:
        connection.execute(NUMBERED, [WRITER.boot])
        statement = rows.TAKE_IN.format(writer=OPEN)
        return connection.execute(statement, [WRITER.boot, *rows.taken_in(events)]).rowcount


def file(url: str, most: int = 1000) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(rows.FILE, [most]).fetchone()
        return int(row[0]) if row else 0


def test_what_is_taken_in_is_filed_sealed_and_whole(sealed: Sealed) -> None:
    made = [event(i, Obj("deployment", "d", "claims"), Obj("node", "n")) for i in range(20)]
    assert take_in(sealed.web, made) == 20
    assert sealed.verify().notes == ["20 events wait to be sealed"]
    sealed.seal()
    report = sealed.verify()
    assert (report.exit_code, report.notes) == (0, []), report.lines()
    assert sealed.ask("SELECT count(*) FROM ledger_intake") == [(0,)]
    found = sealed.ask(
        "SELECT e.wseq, e.object_label, p.ip, m.object_id, e.created_at < l.sealed_at"
        " FROM ledger_event e JOIN ledger_personal p ON p.event_id = e.id"
        " JOIN ledger_mention m ON m.event_id = e.id JOIN ledger_leaf l ON l.event_id = e.id"
        " WHERE e.actor_id = 'robot' ORDER BY l.position"
    )
    assert found == [(i, "claims", "10.0.0.9", "n", True) for i in range(20)]


def test_the_database_makes_the_same_columns_as_we_do(sealed_template: Sealed) -> None:
    """Held against Event.columns and Event.mentions, for what people may write anywhere."""
    names = [name for name in rows.EVENT_COLUMNS if name not in ("leaf", "leaf_hash")]
    with psycopg.connect(sealed_template.web) as connection:

        @settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
        @given(OBJECTS, TEXT, st.sampled_from(["success", "error"]), st.booleans())
        def filed(objects: list[Obj], request: str, outcome: str, approved: bool) -> None:
            actor = WHO.at(Origin("10.0.0.9", "curl", request.replace("\x00", "")))
            appr = {"id": "p-1", "reason": "yes"} if approved else {}
            made = event(0, *objects, actor=actor, outcome=outcome, appr=appr)
            connection.execute(NUMBERED, [WRITER.boot])
            statement = rows.TAKE_IN.format(writer=OPEN)
            connection.execute(statement, [WRITER.boot, *rows.taken_in([made])])
            connection.execute(rows.FILE, [10])
            found = connection.execute(
                f"SELECT {', '.join(names)}, leaf_hash FROM ledger_event WHERE id = %s", [made.id]
            ).fetchone()
            assert found == (
                made.id, *(made.columns[name] for name in names[1:]), made.leaf_hash,
            )  # fmt: skip
            mentions = connection.execute(
                "SELECT object_id FROM ledger_mention WHERE event_id = %s", [made.id]
            ).fetchall()
            assert sorted(m for (m,) in mentions) == sorted(made.mentions)
            kept = connection.execute(
                'SELECT ip, "values" FROM ledger_personal WHERE event_id = %s', [made.id]
            ).fetchone()
            assert kept == (made.personal["ip"], made.personal["values"])
            connection.rollback()

        filed()


def test_an_event_that_comes_twice_is_filed_once(sealed: Sealed) -> None:
    """The answer to a COMMIT was lost, and the gateway stored its batch again."""
    made = [event(i) for i in range(3)]
    assert take_in(sealed.web, made) + take_in(sealed.web, made[1:]) == 5
    assert file(sealed.web) == 5
    take_in(sealed.web, made)
    sealed.seal()
    assert sealed.ask("SELECT count(*) FROM ledger_event WHERE actor_id = 'robot'") == [(3,)]
    assert sealed.verify().exit_code == 0


def forge(url: str, leaf: bytes, *, id: UUID | None, wseq: int | None) -> None:
    """By the web's role, past the intake: another event under an id or a number of ours."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO ledger_event (id, leaf, leaf_hash, at, writer, boot, wseq, act, outcome,"
            " severity, actor_kind, actor_id, key_id, object_type, object_id, object_label,"
            " deployment, request_id) VALUES (%s, %s, '', now(), '', %s, %s, '', 'success', 0,"
            " '', '', '', '', '', '', '', '')",
            [id or uuid4(), leaf, WRITER.boot if wseq is not None else None, wseq],
        )


def test_an_event_whose_number_somebody_took_is_filed_and_told(sealed: Sealed) -> None:
    first, second = event(0), event(1)
    forge(sealed.web, second.leaf, id=None, wseq=0)
    take_in(sealed.web, [first, second])
    sealed.seal()
    assert sealed.ask("SELECT count(*) FROM ledger_intake") == [(0,)]
    filed = sealed.ask("SELECT leaf, wseq FROM ledger_event WHERE actor_id = 'robot' ORDER BY id")
    assert [(bytes(leaf), wseq) for leaf, wseq in filed] == [(first.leaf, None), (second.leaf, 1)]
    kept = sealed.ask(f"SELECT ip FROM ledger_personal WHERE event_id = '{first.id}'")
    assert kept == [("10.0.0.9",)]
    told = sealed.ask("SELECT object_id FROM ledger_event WHERE act = 'audit.gap'")
    assert told == [(str(first.id),)]
    report = sealed.verify()
    assert report.exit_code == 1
    assert any(str(first.id) in line for line in report.integrity), report.lines()


def test_an_event_whose_id_somebody_took_stays_and_holds_up_nobody(sealed: Sealed) -> None:
    made = [event(i) for i in range(4)]
    forge(sealed.web, b"{}", id=made[0].id, wseq=None)
    take_in(sealed.web, made)
    assert [file(sealed.web, 1) for _ in range(4)] == [1, 1, 1, 0]
    assert sealed.ask("SELECT event_id FROM ledger_intake") == [(made[0].id,)]
    sealed.seal()
    assert sealed.verify().exit_code == 1


def test_nothing_leaves_the_intake_but_what_is_filed_as_it_is(sealed: Sealed) -> None:
    """Not even by the owner's hand."""
    real = event(0)
    forge(sealed.web, b"{}", id=real.id, wseq=0)
    take_in(sealed.web, [real])
    with (
        psycopg.connect(sealed.superuser) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
    ):
        connection.execute("DELETE FROM ledger_intake")


@pytest.mark.parametrize(
    "leaf",
    [
        b"", b"\xff\xfe", b"[]", b"17", b'{"act":', b'{"act":"\\u0000"}', b'{"obj":{"id":1}}',
        b'{"obj":[[],[]],"sev":"x","outcome":"great","req":7,"appr":[]}',
        b'{"sev":99999999999,"act":"' + b"y" * 9000 + b'"}',
        orjson.dumps({"obj": [{"id": "z" * 9000, "type": "deployment", "label": "é" * 9000}] * 30}),
    ],
    ids=lambda leaf: leaf[:20].decode("latin-1"),
)  # fmt: skip
def test_bytes_that_are_no_event_hold_nothing_up_and_are_named(sealed: Sealed, leaf: bytes) -> None:
    """Whoever has the web's role can store anything; it is kept, and everybody sees it."""
    good, bad = event(0), event(1)
    bad.leaf = leaf
    take_in(sealed.web, [bad, good])
    sealed.seal()
    assert sealed.ask("SELECT count(*) FROM ledger_intake") == [(0,)]
    assert sealed.ask(f"SELECT actor_id FROM ledger_event WHERE id = '{good.id}'") == [("robot",)]
    report = sealed.verify()
    assert report.exit_code == 1
    assert all(str(bad.id) in line for line in report.integrity), report.lines()


def test_nobody_takes_anything_out_of_the_intake(sealed: Sealed) -> None:
    take_in(sealed.web, [event(0)])
    for statement in (
        "DELETE FROM ledger_intake", "UPDATE ledger_intake SET wseq = 1", "TRUNCATE ledger_intake",
    ):  # fmt: skip
        for url, words in (
            (sealed.web, "permission denied"), (sealed.sealer, "permission denied"),
            (sealed.superuser, "append-only"),
        ):  # fmt: skip
            with (
                psycopg.connect(url) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege, match=words),
            ):
                connection.execute(statement)


def test_what_somebody_takes_out_of_it_is_missed(sealed: Sealed) -> None:
    take_in(sealed.web, [event(i) for i in range(3)])
    sealed.harm("DELETE FROM ledger_intake WHERE wseq = 1")
    sealed.seal()
    report = sealed.verify()
    assert report.exit_code == 2
    assert report.completeness == [f"event 1 of the process {WRITER.boot} is missing"]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE ledger_intake DISABLE TRIGGER ledger_intake_append_only",
        "CREATE OR REPLACE FUNCTION ledger_only_filed() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN OLD; END $$",
        "GRANT DELETE ON ledger_intake TO fusebox_web",
    ],
)
def test_a_guard_that_was_taken_away_is_found(sealed: Sealed, statement: str) -> None:
    with psycopg.connect(sealed.superuser) as connection:
        connection.execute(statement)
    assert sealed.verify().exit_code == 1


def test_what_waits_for_too_long_is_told(sealed: Sealed) -> None:
    take_in(sealed.web, [event(0)])
    sealed.harm("UPDATE ledger_intake SET created_at = now() - interval '3 minutes'")
    assert sealed.verify().exit_code == 2


def test_a_writer_that_was_closed_stores_nothing(sealed: Sealed) -> None:
    take_in(sealed.web, [event(0)])
    sealed.harm("UPDATE ledger_process SET closed_at = now()")
    assert take_in(sealed.web, [event(1)]) == 0


def test_a_nul_has_no_place_and_what_only_looks_like_one_has() -> None:
    with pytest.raises(NotCanonical):
        event(0, actor=Actor(ActorKind.SERVICE, "a\x00", "x"))
    assert rb"\\u0000" in event(0, Obj("node", "\\u0000")).leaf
