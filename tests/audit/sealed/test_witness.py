"""Witnesses: the program by itself, and a real one that watches a real console."""

from __future__ import annotations

import ast
import base64
import json
import os
import random
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.ledger.cosignature import WitnessKey
from audit.ledger.note import BadNote, Checkpoint, Signer
from audit.ledger.tree import SHA256, Edge
from audit.office.verifier import verify as verifying
from audit.office.verifier import witness as witnessing
from tests.architecture.source import ROOT
from tests.audit.sealed.conftest import EVENTS, LOG, Sealed
from tests.audit.sealed.test_bundle import export
from tests.ports import free_port

# For Python 3.9, without types.
verify: Any = verifying
witness: Any = witnessing
PROGRAM = ROOT / "audit" / "office" / "verifier" / "witness.py"
OWN = ("BadBundle", "Tampered", "main", "read_certificate")

# --- the program by itself ---------------------------------------------------------------------


def definitions(path: Path) -> dict[str, str]:
    module = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {n.name: ast.dump(n) for n in module.body if isinstance(n, kinds)}


def test_what_it_shares_with_the_verifier_is_the_same() -> None:
    ours = definitions(PROGRAM)
    theirs = definitions(PROGRAM.with_name("verify.py"))
    shared = (set(ours) & set(theirs)) - set(OWN)
    assert {"sm3", "Edge", "ed25519_verifies", "open_note", "read_checkpoint"} <= shared
    assert {name for name in shared if ours[name] != theirs[name]} == set()


def test_it_runs_on_the_oldest_python_that_it_promises() -> None:
    ast.parse(PROGRAM.read_text(), feature_version=(3, 9))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM), "--help"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_its_signatures_are_those_of_ed25519() -> None:
    for number in range(8):
        seed = random.Random(number).randbytes(32)
        key = Ed25519PrivateKey.from_private_bytes(seed)
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        assert witness.ed25519_public(seed) == key.public_key().public_bytes(*raw)
        assert witness.ed25519_sign(seed, b"text") == key.sign(b"text")


def test_a_cosignature_is_read_by_the_console_and_by_the_verifier() -> None:
    cosigner = witness.Cosigner("auditor-pc", bytes(range(32)))
    head = Checkpoint("fusebox.test/audit/1", 7, bytes(32)).text
    line = cosigner.line(head, 1_790_000_000)
    key = WitnessKey.parse(cosigner.vkey)
    assert key.confirmed_at(line, head).timestamp() == 1_790_000_000
    assert list(verify.WitnessKey(cosigner.vkey).confirmed(head + "\n" + line)) == [1_790_000_000]
    for wrong in (head.replace("7", "8"), head + "more\n"):
        with pytest.raises(BadNote):
            key.confirmed_at(line, wrong)
    raw = bytearray(base64.b64decode(line.split(" ")[2]))
    raw[11] ^= 1  # the time is signed, too
    with pytest.raises(BadNote):
        key.confirmed_at(f"— auditor-pc {base64.b64encode(bytes(raw)).decode()}\n", head)
    with pytest.raises(BadNote):
        WitnessKey.parse(cosigner.vkey.replace("auditor", "somebody"))


SIGNER = Signer("fusebox.test/audit", Ed25519PrivateKey.from_private_bytes(bytes(32)))
CERTIFICATE = {"log": SIGNER.name, "hash": "sha256", "key": witness.Key(SIGNER.public.vkey)}


def leaf(number: int, history: str = "") -> bytes:
    return SHA256.leaf(f"{history}{number}".encode())


def edge_of(size: int, history: str = "") -> Edge:
    made = Edge(SHA256)
    for number in range(size):
        made.append(leaf(number, history))
    return made


def answer(
    size: int, seen: int = 0, *, history: str = "", tree: int = 1, signer: Signer = SIGNER
) -> dict[str, Any]:
    note = Checkpoint(f"{SIGNER.name}/{tree}", size, edge_of(size, history).root()).sign(signer)
    before, after = edge_of(seen, history), []
    for level, index in verify_cover(seen, size):
        part = Edge(SHA256)
        for number in range(index << level, (index + 1) << level):
            part.append(leaf(number, history))
        after.append(part.root().hex())
    return {
        "log": SIGNER.name,
        "hash": "sha256",
        "checkpoint": note,
        "keys": [{"vkey": SIGNER.public.vkey, "endorsement": ""}],
        "proof": {"from": seen, "before": [h.hex() for h in before.hashes], "after": after},
    }


def verify_cover(begin: int, end: int) -> list[tuple[int, int]]:
    found = []
    for level in witness.cover(begin, end):
        found.append((level, begin >> level))
        begin += 1 << level
    return found


def seen_of(size: int, history: str = "", tree: int = 1) -> dict[str, Any]:
    root = edge_of(size, history).root().hex()
    return {"origin": f"{SIGNER.name}/{tree}", "size": size, "root": root, "note": "", "at": 1}


def test_a_log_that_has_only_grown_is_accepted_at_every_size() -> None:
    for seen in range(1, 18):
        for size in range(seen, 40, 3):
            witness.judge(CERTIFICATE, seen_of(seen), answer(size, seen))


@pytest.mark.parametrize(
    ("kind", "seen", "given"),
    [
        ("rollback", seen_of(9), answer(8)),
        ("fork", seen_of(9), answer(12, 9, history="other")),
        ("fork", seen_of(9), answer(9, 9, history="other")),
        ("fork", seen_of(9), {**answer(12, 9), "proof": None}),
        ("fork", seen_of(9), answer(12, 8)),
        ("new_tree", seen_of(9), answer(12, 9, tree=2)),
        ("false", seen_of(9), {**answer(12, 9), "hash": "sm3"}),
        ("false", seen_of(9), {**answer(12, 9), "checkpoint": "no note"}),
        (
            "false",
            None,
            answer(3, signer=Signer(SIGNER.name, Ed25519PrivateKey.from_private_bytes(b"x" * 32))),
        ),
        ("false", None, {**answer(3), "keys": []}),
    ],
)
def test_anything_else_is_an_alarm(
    kind: str, seen: dict[str, Any] | None, given: dict[str, Any]
) -> None:
    with pytest.raises(witness.Alarm) as found:
        witness.judge(CERTIFICATE, seen, given)
    assert found.value.kind == kind


def test_a_proof_that_was_harmed_anywhere_is_an_alarm() -> None:
    chance = random.Random(7)
    for _ in range(300):
        given = answer(23, 13)
        proof = given["proof"]
        side = chance.choice(["before", "after"])
        index = chance.randrange(len(proof[side]))
        change = chance.choice(["flip", "drop", "twice"])
        if change == "flip":
            value = bytearray.fromhex(proof[side][index])
            value[chance.randrange(32)] ^= 1 << chance.randrange(8)
            proof[side][index] = value.hex()
        elif change == "drop":
            del proof[side][index]
        else:
            proof[side].insert(index, proof[side][index])
        with pytest.raises(witness.Alarm):
            witness.judge(CERTIFICATE, seen_of(13), given)


def test_without_tls_only_this_machine_is_asked(tmp_path: Path) -> None:
    with pytest.raises(witness.BadBundle):
        witness.Console("http://fusebox.example", "secret")
    assert witness.Console("http://127.0.0.1:8000", "secret").url == "http://127.0.0.1:8000"


# --- a real one --------------------------------------------------------------------------------


@dataclass
class Watched:
    """A console on a sealed log, and a witness with a folder of its own."""

    sealed: Sealed
    url: str
    folder: Path

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                str(PROGRAM),
                "--folder",
                str(self.folder),
                command,
                *arguments,
            ],
            env={"PATH": "", "FUSEBOX_WITNESS_SECRET": self.secret()},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def secret(self) -> str:
        kept = self.folder.with_name("secret")
        return kept.read_text() if kept.exists() else ""

    def register(self) -> str:
        done = self.run(
            *("init", "--name", "auditor-pc", "--console", self.url),
            *("--certificate", str(self.sealed.custody.certificate)),
        )
        assert done.returncode == 0, done.stderr
        vkey = next(x.strip() for x in done.stdout.splitlines() if x.startswith("    auditor-pc+"))
        said = self.sealed.manage("audit_witness", "register", vkey)
        assert said.returncode == 0, said.stderr
        self.folder.with_name("secret").write_text(said.stdout.split()[-1])
        return vkey

    def ask(self, path: str, value: dict[str, str]) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(
            f"{self.url}/api/v1/witness/{path}/",
            json.dumps(value).encode(),
            {"Authorization": f"Bearer {self.secret()}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def alarm(self) -> str:
        [[text]] = self.sealed.ask("SELECT alarm FROM office_witness")
        return str(text)


@pytest.fixture
def watched(sealed: Sealed, tmp_path: Path) -> Iterator[Watched]:
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": sealed.web,
            "FUSEBOX_SEALER_DIR": str(sealed.folder),
            "FUSEBOX_LOG_ORIGIN": LOG.origin,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    made = Watched(sealed, f"http://127.0.0.1:{port}", tmp_path / "witness")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            made.ask("head", {})
            break
        except OSError:
            time.sleep(0.1)
    made.register()
    yield made
    child.terminate()
    child.wait()


def test_it_confirms_what_has_grown_and_archives_count_it(watched: Watched, tmp_path: Path) -> None:
    sealed = watched.sealed
    assert watched.run("once").returncode == 0
    sealed.happen(3)
    sealed.seal()
    done = watched.run("once")
    assert done.returncode == 0, done.stderr
    [[size, alarm]] = sealed.ask("SELECT size, alarm FROM office_witness")
    assert (size > EVENTS + 6, alarm) == (True, "")
    assert sealed.ask("SELECT count(*) FROM office_cosignature") == [(1,)], "one is kept an hour"
    said = sealed.manage("audit_verify")
    assert said.returncode == 0, said.stdout
    assert "1 cosignatures of 1 witnesses are theirs" in said.stdout

    # An archive counts a witness whose key its reader has, and nobody else.
    made = export(sealed, tmp_path / "export")
    code, told = made.check()
    assert code == 0, told
    assert "外部见证   0" in told
    vkey = watched.run("status").stdout.split()[3]
    with made.certificate.open("a") as file:
        file.write(f"witness: {vkey}\n")
    code, told = made.check()
    assert code == 0, told
    assert "外部见证   1" in told
    assert f"witness auditor-pc confirmed the first {size} events" in told

    # What it signed once is not a word on anything later, and a false one is refused.
    [[head, line]] = sealed.ask("SELECT note, line FROM office_cosignature")
    head = head.partition("\n\n")[0] + "\n"
    assert watched.ask("confirm", {"head": head, "line": line})[0] == 200
    assert watched.ask("confirm", {"head": head.replace("\n", " ", 1), "line": line})[0] == 422
    unknown = Checkpoint(LOG.origin, 5, bytes(32)).text
    state = json.loads((watched.folder / "witness.json").read_text())
    cosigner = witness.Cosigner("auditor-pc", bytes.fromhex(state["seed"]))
    signed = cosigner.line(unknown, int(time.time()))
    assert watched.ask("confirm", {"head": unknown, "line": signed})[0] == 422
    stale = cosigner.line(head, int(time.time()) - 3600)
    assert watched.ask("confirm", {"head": head, "line": stale})[0] == 409
    ahead = cosigner.line(head, int(time.time()) + 3600)
    assert watched.ask("confirm", {"head": head, "line": ahead})[0] == 422

    # A revoked one is answered no more, and what it said counts no more.
    assert sealed.manage("audit_witness", "revoke", "auditor-pc").returncode == 0
    done = watched.run("once")
    assert done.returncode == 3
    assert "401" in done.stderr
    assert "cosignatures" not in sealed.manage("audit_verify").stdout


def test_a_log_set_back_alarms_both_sides(watched: Watched) -> None:
    sealed = watched.sealed
    sealed.happen(2)
    sealed.seal()
    assert watched.run("once").returncode == 0
    sealed.harm(
        f"DELETE FROM ledger_checkpoint WHERE size > {EVENTS}",
        f"DELETE FROM ledger_leaf WHERE position >= {EVENTS}",
    )
    done = watched.run("once")
    assert done.returncode == 2
    assert "ALARM" in done.stderr
    assert watched.alarm().startswith("rollback: it was shown")
    found = sealed.ask("SELECT act FROM ledger_event WHERE act = 'audit.witness_alarm'")
    assert len(found) == 1, "found by the console and told by the witness: one alarm"
    # It stays alarmed, whatever it is shown, until a person has settled it.
    assert watched.run("once").returncode == 2
    assert watched.run("status").returncode == 2
    assert watched.run("settle").returncode == 0
    assert watched.run("once").returncode == 0


def test_another_history_under_the_same_key_alarms_both_sides(
    watched: Watched, tmp_path: Path
) -> None:
    """With the database and the signing key in hand, everything here is consistent again."""
    sealed = watched.sealed
    shutil.copytree(sealed.folder, tmp_path / "kept")
    sealed.happen(2)
    sealed.seal()
    assert watched.run("once").returncode == 0
    sealed.harm(
        f"DELETE FROM ledger_checkpoint WHERE size > {EVENTS}",
        "DELETE FROM office_cosignature",
        "CREATE TEMPORARY TABLE gone AS SELECT event_id FROM ledger_leaf"
        f" WHERE position >= {EVENTS}",
        f"DELETE FROM ledger_leaf WHERE position >= {EVENTS}",
        "DELETE FROM ledger_personal WHERE event_id IN (SELECT event_id FROM gone)",
        "DELETE FROM ledger_mention WHERE event_id IN (SELECT event_id FROM gone)",
        "DELETE FROM ledger_event WHERE id IN (SELECT event_id FROM gone)",
        f"UPDATE ledger_sealer SET size = {EVENTS}",
    )
    shutil.rmtree(sealed.folder)
    shutil.copytree(tmp_path / "kept", sealed.folder)
    sealed.happen(30)
    sealed.seal()
    assert sealed.verify(own_head=True).exit_code == 0, "nobody inside would notice"
    done = watched.run("once")
    assert done.returncode == 1
    assert "does not extend" in done.stderr
    assert watched.alarm().startswith("fork: it was shown another history")


def test_a_wrong_secret_is_refused_and_recorded(watched: Watched) -> None:
    watched.folder.with_name("secret").write_text("fbw_wrong")
    assert watched.ask("head", {"seen": ""})[0] == 401
    assert watched.sealed.ask(
        "SELECT outcome FROM ledger_event WHERE act = 'auth.login' ORDER BY id DESC LIMIT 1"
    ) == [("failure",)]
