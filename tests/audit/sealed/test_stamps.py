"""Time-stamps of signed heads by a real responder (openssl ts): asked, kept, checked, harmed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit.office import stamps
from audit.office.verifier import verify as verifying
from tests.audit.sealed.conftest import EVENTS, Sealed
from tests.audit.sealed.responder import Responder
from tests.audit.sealed.test_bundle import export, rewrite

verify: Any = verifying


@pytest.fixture(scope="module")
def responder(tmp_path_factory: pytest.TempPathFactory) -> Responder:
    return Responder(tmp_path_factory.mktemp("tsa") / "own")


@pytest.fixture
def env(responder: Responder) -> Iterator[dict[str, str]]:
    responder.refuses = False
    yield {"FUSEBOX_TSA_URL": responder.serve(), "FUSEBOX_TSA_CA": str(responder.ca)}
    responder.stop()


def forward(sealed: Sealed, **env: str) -> subprocess.CompletedProcess[str]:
    return sealed.manage("audit_forward", "--once", **env)


def asked(responder: Responder, data: bytes) -> bytes:
    return responder.ask(stamps.request(data).as_bytes())


# --- a token by itself -------------------------------------------------------------------------


def test_a_token_says_when_and_who(responder: Responder) -> None:
    found = stamps.read(asked(responder, b"head"), b"head", stamps.read_roots(responder.ca))
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=2)
    assert found.authority == "CN=tsa.example"


@pytest.mark.parametrize("harm", ["other", "cut", "flip", "authority", "nonce"])
def test_a_token_that_is_not_over_it_or_not_theirs_is_refused(
    responder: Responder, harm: str, tmp_path: Path
) -> None:
    token, data = asked(responder, b"head"), b"other" if harm == "other" else b"head"
    roots = stamps.read_roots(responder.ca)
    if harm == "cut":
        token = token[: len(token) // 2]
    if harm == "flip":
        token = token[:-9] + bytes([token[-9] ^ 1]) + token[-8:]
    if harm == "authority":
        roots = stamps.read_roots(Responder(tmp_path / "other").ca)
    with pytest.raises(stamps.BadStamp):
        stamps.read(token, data, roots, nonce=7 if harm == "nonce" else None)


def test_the_offline_verifier_reads_the_same_time_and_finds_another_imprint(
    responder: Responder,
) -> None:
    token = asked(responder, b"head")
    at = stamps.read(token, b"head", stamps.read_roots(responder.ca)).at
    assert verify.stamped_at(token, b"head") == f"{at:%Y%m%d%H%M%SZ}"
    with pytest.raises(verify.Tampered):
        verify.stamped_at(token, b"other")
    for size in range(0, len(token), 7):
        with pytest.raises(verify.Tampered):
            verify.stamped_at(token[:size], b"head")


# --- asked for by the forwarder ------------------------------------------------------------------


def test_a_head_is_stamped_kept_shown_and_in_the_archive(
    sealed: Sealed, responder: Responder, env: dict[str, str], tmp_path: Path
) -> None:
    done = forward(sealed, **env)
    assert done.returncode == 0, done.stderr
    [[size, problem]] = sealed.ask("SELECT size, problem FROM office_outsidecopy")
    assert (size, problem) == (EVENTS, "")
    [[act]] = sealed.ask("SELECT act FROM ledger_event ORDER BY id DESC LIMIT 1")
    assert act == "audit.time_stamp"

    answers = responder.answers
    sealed.seal()
    assert forward(sealed, **env).returncode == 0
    assert responder.answers == answers, "the next one is due in an hour"

    said = sealed.manage("audit_verify", **env)
    assert said.returncode == 0, said.stdout
    assert "1 of 1 time-stamps are the authority's" in said.stdout

    made = export(sealed, tmp_path)
    code, told = made.check()
    assert code == 0, told
    assert f"the first {EVENTS} events carry a time-stamp" in told
    with zipfile.ZipFile(made.bundle) as archive:
        archive.extractall(tmp_path / "out", ["outside/1.txt", "outside/1.tsr"])
    by_openssl = subprocess.run(
        ["openssl", "ts", "-verify", "-data", "1.txt", "-in", "1.tsr", "-CAfile", responder.ca],
        cwd=tmp_path / "out" / "outside",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Verification: OK" in by_openssl.stdout + by_openssl.stderr

    command = sealed.manage("audit_verify", str(made.bundle), **env)
    assert command.returncode == 0
    assert "CN=tsa.example" in command.stdout

    def other(files: dict[str, bytes]) -> None:
        files["outside/1.tsr"] = asked(responder, b"something else")
        manifest = json.loads(files["manifest.json"])
        manifest["files"]["outside/1.tsr"] = hashlib.sha256(files["outside/1.tsr"]).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()

    code, told = made.check(rewrite(made.bundle, tmp_path / "forged.zip", other))
    assert code == 1
    assert "not over the head" in told


def test_an_authority_that_is_away_is_late_and_nothing_else(
    sealed: Sealed, responder: Responder, env: dict[str, str]
) -> None:
    responder.refuses = True
    done = forward(sealed, **env)
    assert done.returncode == 1
    assert "HTTP 503" in done.stderr
    assert sealed.ask("SELECT act FROM ledger_event ORDER BY id DESC LIMIT 1") == [
        ("audit.sink_down",)
    ]
    assert sealed.ask("SELECT count(*) FROM office_timestamp") == [(0,)]


def test_an_authority_that_is_not_trusted_counts_for_nothing(
    sealed: Sealed, env: dict[str, str], tmp_path: Path
) -> None:
    other = Responder(tmp_path / "other")
    done = forward(sealed, **{**env, "FUSEBOX_TSA_CA": str(other.ca)})
    assert done.returncode == 1
    assert sealed.ask("SELECT count(*) FROM office_timestamp") == [(0,)]
    assert forward(sealed, **{**env, "FUSEBOX_TSA_CA": ""}).returncode == 2


# --- harmed and aged -----------------------------------------------------------------------------


def keep(sealed: Sealed, token: bytes, note: str, size: int) -> None:
    with psycopg.connect(sealed.superuser) as connection:
        connection.execute(
            "INSERT INTO office_timestamp (tree, size, note, token, at, authority)"
            " VALUES (1, %s, %s, %s, now(), 'tsa')",
            [size, note, token],
        )


def newest(sealed: Sealed) -> tuple[str, int]:
    [[note, size]] = sealed.ask("SELECT note, size FROM ledger_checkpoint ORDER BY id DESC LIMIT 1")
    return note, size


def test_an_expired_authority_is_a_warning_and_no_verdict(sealed: Sealed, tmp_path: Path) -> None:
    """Attack case 26: the token was good when it was made."""
    brief = Responder(tmp_path / "tsa", lasts=timedelta(seconds=4))
    note, size = newest(sealed)
    keep(sealed, asked(brief, note.encode()), note, size)
    time.sleep(5)
    said = sealed.manage("audit_verify", FUSEBOX_TSA_CA=str(brief.ca))
    assert said.returncode == 0, said.stdout
    assert "warning: the certificate behind 1 time-stamps has expired" in said.stdout


def test_a_log_rewritten_with_the_stolen_key_does_not_fit_its_time_stamps(
    sealed: Sealed, responder: Responder
) -> None:
    """Whoever changes the head that was stamped must leave a token over another one."""
    note, size = newest(sealed)
    keep(sealed, asked(responder, note.encode().replace(b"\n", b" ")), note, size)
    said = sealed.manage("audit_verify", FUSEBOX_TSA_CA=str(responder.ca))
    assert said.returncode == 1
    assert "is over another head" in said.stdout


def test_a_stamped_head_that_the_log_no_longer_has_is_missed(
    sealed: Sealed, responder: Responder
) -> None:
    sealed.happen(1)
    sealed.seal()
    note, size = newest(sealed)
    keep(sealed, asked(responder, note.encode()), note, size)
    sealed.harm(
        f"DELETE FROM ledger_checkpoint WHERE size > {EVENTS}",
        f"DELETE FROM ledger_leaf WHERE position >= {EVENTS}",
    )
    said = sealed.manage("audit_verify", FUSEBOX_TSA_CA=str(responder.ca))
    assert said.returncode == 2
    assert f"was signed with {size} leaves" in said.stdout
