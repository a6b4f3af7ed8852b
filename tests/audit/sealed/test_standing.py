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
    assert standing.lines()["状态 / State"] == "完整 / whole"
    assert "/ ok (" in standing.lines()["最近一次验证 / Last verification"]
    house.harm("UPDATE ledger_event SET act = 'x' WHERE act = 'node.register'")
    assert house.manage("audit_verify").returncode == TAMPERED
    assert standing.now().state == "tampered"


def test_a_log_that_was_set_back_is_called_fine_nowhere(house: Sealed, settings: Settings) -> None:
    settings.LOG_CERTIFICATE = house.custody.certificate
    house.seal()
    assert house.manage("audit_verify").returncode == FINE
    house.harm("UPDATE ledger_sealer SET state = 'rollback'")
    told = standing.lines()
    assert told["状态 / State"] == "日志被回退 / the log was set back"
    assert "/ ok at that time (" in told["最近一次验证 / Last verification"]


def test_every_state_has_words() -> None:
    assert set(standing.VERDICTS.values()) <= standing.IN_WORDS.keys()
