"""The signing key changes when two people have decided it, and by nobody else."""

from __future__ import annotations

import orjson
import psycopg
import pytest

from access import actions as access
from access.errors import Denied, Invalid
from audit.ledger import sealing
from audit.ledger.actor import Actor
from audit.ledger.models import Event, KeyChange, SigningKey
from audit.ledger.report import FINE
from audit.office import actions
from tests.audit.sealed.conftest import LOG, Sealed, approved, who


def test_two_people_decide_and_the_sealer_does_it(house: Sealed) -> None:
    old = house.custody.certificate.read_text()
    proposal = actions.request_new_key(actor=who("audit"), reason="the yearly change")
    house.seal()
    assert SigningKey.objects.count() == 1
    with pytest.raises(Invalid):
        access.approve(actor=who("audit"), proposal=proposal)
    approved(proposal)
    house.seal()
    change = KeyChange.objects.get()
    assert change.proposal_id == proposal.pk
    newest = SigningKey.objects.latest("pk")
    assert newest.change_id == change.pk
    said = orjson.loads(bytes(Event.objects.get(act="audit.new_key").leaf))["details"]
    assert (said["key"], said["change"]) == (newest.vkey, str(change.pk))
    assert newest.vkey in house.custody.certificate.read_text()
    house.seal()
    assert SigningKey.objects.count() == 2
    assert house.verify(own_head=True).exit_code == FINE
    house.custody.certificate.write_text(old)
    assert house.verify(own_head=True).first == ""


def test_others_cannot_ask_for_it(house: Sealed) -> None:
    with pytest.raises(Denied):
        actions.request_new_key(actor=who("security"), reason="r")
    with pytest.raises(Invalid, match="A person"):
        actions.request_new_key(actor=Actor.system("worker"), reason="r")


def test_the_database_wants_the_decision_of_two(house: Sealed) -> None:
    for role in (house.web, house.superuser):
        with (
            psycopg.connect(role) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="approved proposal"),
        ):
            connection.execute(
                "INSERT INTO ledger_keychange (id, proposal_id)"
                " VALUES (gen_random_uuid(), gen_random_uuid())"
            )


def test_a_change_that_was_cut_off_is_made_by_the_next_sealer(
    house: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its new key is on the disk and nobody has named it: the old one goes on."""
    approved(actions.request_new_key(actor=who("audit"), reason="the yearly change"))
    old = SigningKey.objects.get()

    def cut_off(*_given: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sealing, "succession", cut_off)
        house.seal()
    assert len(list(house.folder.glob("key-*.pem"))) == 2
    assert SigningKey.objects.count() == 1
    assert house.custody.signer(LOG.base, [old.vkey]).public.vkey == old.vkey
    house.seal()
    assert SigningKey.objects.count() == 2
    assert house.verify(own_head=True).exit_code == FINE


def test_a_guard_of_the_decision_that_is_gone_is_found(house: Sealed) -> None:
    with psycopg.connect(house.superuser) as connection:
        connection.execute("DROP TRIGGER ledger_keychange_append_only ON ledger_keychange")
    found = house.verify().integrity
    assert any("ledger_keychange_append_only is missing" in text for text in found)
