"""The signing key changes when two people have decided it, and by nobody else."""

from __future__ import annotations

from pathlib import Path

import orjson
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from access import actions as access
from access.errors import Denied, Invalid
from audit.ledger import sealing
from audit.ledger.actor import Actor
from audit.ledger.custody import CERTIFICATE, Custody, CustodyBroken, Head
from audit.ledger.models import Event, KeyChange, SigningKey
from audit.ledger.note import Signer
from audit.ledger.report import FINE
from audit.ledger.tree import SHA256, Edge
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


def another_key() -> bytes:
    """A key file of somebody else's."""
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


@pytest.mark.parametrize("swapped", [True, False])
def test_without_its_key_file_nothing_is_signed_until_it_is_back(
    sealed: Sealed, swapped: bool
) -> None:
    certificate = sealed.custody.certificate.read_text()
    file = sealed.folder / "key-1.pem"
    right = file.read_bytes()
    file.unlink()
    if swapped:
        file.write_bytes(another_key())
    sealed.happen()
    with pytest.raises(CustodyBroken, match="put back the file"):
        sealed.seal()
    assert len(list(sealed.folder.glob("key-*.pem"))) == int(swapped)
    assert sealed.custody.certificate.read_text() == certificate
    file.write_bytes(right)
    sealed.seal()
    assert sealed.verify(own_head=True).exit_code == FINE


def test_the_key_before_the_last_does_not_stand_in_for_it(sealed: Sealed) -> None:
    sealed.change_key()
    certificate = sealed.custody.certificate.read_text()
    newest = sealed.folder / "key-2.pem"
    right = newest.read_bytes()
    newest.unlink()
    with pytest.raises(CustodyBroken):
        sealed.seal()
    assert sealed.custody.certificate.read_text() == certificate
    newest.write_bytes(right)
    sealed.seal()
    assert sealed.verify(own_head=True).exit_code == FINE


def test_a_certificate_is_replaced_by_that_of_a_key_it_named_only(
    sealed: Sealed, tmp_path: Path
) -> None:
    old = sealed.custody.certificate.read_text()
    sealed.change_key()
    new = sealed.custody.certificate.read_text()
    sealed.custody.certificate.write_text(old)
    sealed.seal()
    assert sealed.custody.certificate.read_text() == new
    stranger = Signer(LOG.base, Ed25519PrivateKey.generate()).public
    Custody(tmp_path).publish_certificate(LOG.base, "sha256", stranger, [])
    foreign = (tmp_path / CERTIFICATE).read_text()
    sealed.custody.certificate.write_text(foreign)
    with pytest.raises(CustodyBroken, match="has not named"):
        sealed.seal()
    assert sealed.custody.certificate.read_text() == foreign


def test_the_first_key_is_made_where_there_is_neither_head_nor_key(tmp_path: Path) -> None:
    custody = Custody(tmp_path)
    for head in (
        Head(1, LOG.origin, Edge(SHA256), "", follows={"problem": "restored"}),
        Head(1, LOG.origin, Edge(SHA256), "", note="x\n1\n\n— x AAAAAAAA\n"),
    ):
        with pytest.raises(CustodyBroken):
            custody.signer(LOG.base, [], head)
    made = custody.signer(LOG.base, [], Head(1, LOG.origin, Edge(SHA256), ""))
    assert custody.signer(LOG.base).public == made.public


def test_a_guard_of_the_decision_that_is_gone_is_found(house: Sealed) -> None:
    with psycopg.connect(house.superuser) as connection:
        connection.execute("DROP TRIGGER ledger_keychange_append_only ON ledger_keychange")
    found = house.verify().integrity
    assert any("ledger_keychange_append_only is missing" in text for text in found)
