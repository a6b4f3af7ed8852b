"""How the log stands, as its page says it."""

from __future__ import annotations

from pytest_django import Settings

from audit.ledger.report import FINE, TAMPERED
from audit.office import standing
from tests.audit.sealed.conftest import Sealed


def test_a_verification_by_hand_is_on_the_page_of_the_log(
    house: Sealed, settings: Settings
) -> None:
    settings.LOG_CERTIFICATE = house.custody.certificate
    house.seal()
    assert standing.now().state == "unverified"
    done = house.manage("audit_verify")
    assert done.returncode == FINE, done.stdout + done.stderr
    last = standing.now().last
    assert (standing.now().state, last and last.exit_code) == ("whole", FINE)
    house.harm("UPDATE ledger_event SET act = 'x' WHERE act = 'node.register'")
    assert house.manage("audit_verify").returncode == TAMPERED
    assert standing.now().state == "tampered"
