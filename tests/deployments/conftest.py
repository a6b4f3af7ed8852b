"""Operations run inside the test's own transaction, which the heartbeat's connection cannot see."""

from __future__ import annotations

import pytest

from deployments import lease


@pytest.fixture(autouse=True)
def no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 3600.0)
