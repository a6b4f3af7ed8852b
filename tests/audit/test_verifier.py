"""verify.py against those who make its bundles, its certificates and its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.audit.forging import (
    BOTH,
    FIRST,
    LOG,
    REFUSED,
    SECOND,
    STRANGER,
    Forged,
    Signer,
    events,
    numbered,
    verify,
)

FINE, TAMPERED, INCOMPLETE, CANNOT, BAD_INPUT = range(5)
PROGRAM = Path(verify.__file__)
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The program as a person runs it, with a home of its own. Returns its code and its words."""
    home = tmp_path / "home"
    home.mkdir()
    FIRST.certificate(tmp_path / "certificate.txt")

    def ran(bundle: Forged | Path, *more: str, certificate: Path | None = None) -> tuple[int, str]:
        if isinstance(bundle, Forged):
            bundle = bundle.pack(tmp_path / "bundle.zip")
        trusted = certificate or tmp_path / "certificate.txt"
        given = ["--certificate", str(trusted)] if trusted.exists() else []
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(PROGRAM), str(bundle), *given, *more],
            cwd=home, env={"HOME": str(home), "PATH": ""}, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert done.stderr == ""
        return done.returncode, done.stdout

    return ran


def memory(tmp_path: Path) -> Path:
    [found] = (tmp_path / "home" / ".fusebox-verify").iterdir()
    return found


def test_what_is_made_by_hand_is_what_we_make(run: Run) -> None:
    code, said = run(Forged(events(20)))
    assert code == FINE, said
    assert "20 of 20" in said
    assert "0–19" in said
    assert "packed again" not in said
    assert run(Forged(numbered(0, 1, 2), origin=f"{LOG}/1"), "--forget")[0] == FINE


@pytest.mark.parametrize("name", REFUSED)
def test_a_bundle_that_is_made_to_deceive_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    code, said = run(REFUSED[name](tmp_path / "x.zip"))
    assert code in (TAMPERED, INCOMPLETE, BAD_INPUT), said
    assert said.endswith(f"exit code / 退出码      {code}\n")


def test_in_a_later_tree_processes_go_on_counting(run: Run) -> None:
    assert run(Forged(numbered(3, 4), origin=f"{LOG}/2"))[0] == FINE
    assert run(Forged(numbered(3, 5), origin=f"{LOG}/2"), "--forget")[0] == INCOMPLETE


def test_a_part_is_not_told_as_the_whole(run: Run) -> None:
    code, said = run(Forged(events(20), first=3, end=9))
    assert code == FINE
    assert "3–8 (of / 共 20)" in said
    assert "this is a part of the log" in said
    assert "within this part" in said
    assert "none / 无" in run(Forged(events(20), end=0), "--forget")[1]


def test_what_retention_removed_is_the_makers_word(run: Run) -> None:
    forged = Forged(events(20))
    forged.manifest["removed"] = 7
    assert "whoever made this says" in run(forged)[1]


def test_nothing_that_is_shown_acts_on_a_terminal(run: Run, tmp_path: Path) -> None:
    forged = Forged(events(20), end=9)
    forged.manifest["filter"] = {"person": "\x1b[8m\u202eevil\nexit code 0"}
    said = run(forged)[1]
    assert "\x1b" not in said
    assert "\u202e" not in said
    odd = FIRST.certificate(tmp_path / "\x1b[2J.txt")
    assert "\x1b" not in run(forged, certificate=odd)[1]


# --- its memory ------------------------------------------------------------------------------


def test_a_fork_cannot_get_into_the_memory_in_steps(run: Run) -> None:
    """A head whose extension was not shown is not what the next is compared with."""
    assert run(Forged(events(20)))[0] == FINE
    code, said = run(Forged(events(30, fork=10), first=25))
    assert code == FINE
    assert "not shown" in said
    assert run(Forged(events(40, fork=10)))[0] == TAMPERED
    assert run(Forged(events(40)))[0] == FINE


def test_a_range_from_the_last_head_on_is_compared_with_it(run: Run) -> None:
    assert run(Forged(events(20)))[0] == FINE
    assert run(Forged(events(30, fork=10), first=20))[0] == TAMPERED
    code, said = run(Forged(events(30), first=20))
    assert code == FINE
    assert "extends the head verified here before: yes" in said


def test_the_bundle_before_leads_on(run: Run) -> None:
    assert run(Forged(events(20)))[0] == FINE
    assert run(Forged(events(30, fork=10), first=25, previous=20))[0] == TAMPERED
    code, said = run(Forged(events(30), first=25, previous=20))
    assert code == FINE
    assert "extends the head verified here before: yes" in said


@pytest.mark.parametrize("made_at", ["", "9999", "1970-01-01T00:00:00+00:00", None])
def test_a_log_that_was_set_back_is_told_whatever_time_it_says(
    run: Run, made_at: str | None
) -> None:
    forged = Forged(events(30))
    forged.manifest["made_at"] = made_at
    assert run(forged)[0] == FINE
    back = Forged(events(20))
    back.manifest["made_at"] = made_at
    code, said = run(back)
    assert code == INCOMPLETE
    assert "--older" in said
    assert run(back, "--older")[0] == FINE
    assert run(Forged(events(29, fork=5)))[0] == INCOMPLETE


def test_one_that_was_verified_before_is_fine_again(run: Run) -> None:
    assert [run(Forged(events(n)))[0] for n in (10, 20, 10)] == [FINE, FINE, FINE]
    assert run(Forged(events(10, fork=3)), "--older")[0] == TAMPERED


@pytest.mark.parametrize(
    ("keys", "signer", "trusted"),
    [(None, FIRST, FIRST), (None, SECOND, SECOND), (BOTH, SECOND, SECOND)],
    ids=["by the key given up", "by the new one alone", "by both, with the new certificate"],
)
def test_a_change_of_key_does_not_make_it_forget(
    run: Run, tmp_path: Path, keys: list[dict[str, str]] | None, signer: object, trusted: object
) -> None:
    assert run(Forged(events(20), signer=SECOND, keys=BOTH))[0] == FINE
    certificate = trusted.certificate(tmp_path / "of-then.txt")  # type: ignore[attr-defined]
    fork = Forged(events(20, fork=3), signer=signer, keys=keys)  # type: ignore[arg-type]
    assert run(fork, certificate=certificate)[0] == TAMPERED


def test_a_key_that_was_given_up_is_not_trusted_to_sign(run: Run, tmp_path: Path) -> None:
    certificate = SECOND.certificate(tmp_path / "of-now.txt")
    code, said = run(Forged(events(20), signer=FIRST, keys=BOTH), certificate=certificate)
    assert code == CANNOT, said
    assert "from before the certificate" in said


def test_another_tree_is_told_and_an_older_one_is_set_back(run: Run) -> None:
    assert run(Forged(events(20)))[0] == FINE
    code, said = run(Forged(events(5, fork=0), origin=f"{LOG}/2"))
    assert code == FINE
    assert "verified here before: tree 1 with 20 events" in said
    assert run(Forged(events(30)))[0] == INCOMPLETE
    assert run(Forged(events(20)))[0] == FINE


def test_logs_of_one_name_and_other_keys_are_two(run: Run, tmp_path: Path) -> None:
    assert run(Forged(events(20)))[0] == FINE
    theirs = STRANGER.certificate(tmp_path / "theirs.txt")
    code, said = run(Forged(events(9, fork=0), signer=STRANGER), certificate=theirs)
    assert code == FINE
    assert "a log of the same name, with other keys" in said
    assert run(Forged(events(20, fork=3)))[0] == TAMPERED


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"histories": 5}', '{"histories": [{"keys": [], "heads": [5]}]}', "[" * 9000,
     "\ud800", None],
)  # fmt: skip
def test_a_memory_that_cannot_be_read_is_no_first_time(
    run: Run, tmp_path: Path, text: str | None
) -> None:
    assert run(Forged(events(20)))[0] == FINE
    place = memory(tmp_path)
    place.unlink()
    if text is None:
        place.mkdir()
    else:
        place.write_bytes(text.encode("utf-8", "surrogatepass"))
    code, said = run(Forged(events(20, fork=3)))
    assert code == CANNOT
    assert str(place) in said


def test_it_keeps_the_last_heads_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "MAX_HEADS", 3)
    kept, keys = verify.Memory(tmp_path), [verify.Key(FIRST.vkey)]
    for size in range(5):
        kept.add(LOG, keys, (f"{LOG}/1", size, bytes(32)))
    heads, strange = kept.read(LOG, keys)
    assert ([size for _origin, size, _root in heads], strange) == ([2, 3, 4], False)
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_what_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, keys = verify.Memory(tmp_path), [verify.Key(FIRST.vkey)]
    kept.add(LOG, keys, (f"{LOG}/1", 1, bytes(32)))

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(verify.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        kept.add(LOG, keys, (f"{LOG}/1", 2, bytes(32)))
    assert [size for _origin, size, _root in kept.read(LOG, keys)[0]] == [1]
    assert len(list(tmp_path.iterdir())) == 1


# --- certificates and arguments ----------------------------------------------------------------


def test_ones_own_certificate_goes_before_one_beside_the_bundle(run: Run, tmp_path: Path) -> None:
    (tmp_path / "certificate.txt").unlink()
    stick = tmp_path / "stick"
    stick.mkdir()
    STRANGER.certificate(stick / verify.CERTIFICATE)
    forged = Forged(events(9), signer=STRANGER).pack(stick / "b.zip")
    code, said = run(forged, "--forget")
    assert code == FINE
    assert "found beside the bundle" in said
    own = tmp_path / "home" / ".fusebox-verify"
    own.mkdir()
    FIRST.certificate(own / verify.CERTIFICATE)
    assert run(forged, "--forget")[0] == TAMPERED


def test_of_several_certificates_that_of_the_log_is_taken(run: Run, tmp_path: Path) -> None:
    (tmp_path / "certificate.txt").unlink()
    own = tmp_path / "home" / ".fusebox-verify"
    own.mkdir()
    signer = Signer(9, "another.test/audit")
    (own / verify.CERTIFICATE).write_text(f"log: {signer.name}\nhash: sha256\nkey: {signer.vkey}\n")
    stick = tmp_path / "stick"
    stick.mkdir()
    FIRST.certificate(stick / verify.CERTIFICATE)
    code, said = run(Forged(events(9)).pack(stick / "b.zip"), "--forget")
    assert code == FINE, said


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(LOG + "\n", LOG + "  \n"),
    ],
)
def test_a_certificate_that_went_through_an_editor_is_read(
    run: Run, tmp_path: Path, change: Callable[[str], str]
) -> None:
    path = FIRST.certificate(tmp_path / "edited.txt")
    path.write_bytes(change(path.read_text()).encode())
    assert run(Forged(events(9)), certificate=path)[0] == FINE


def test_what_is_no_certificate_is_said_to_be_none(run: Run, tmp_path: Path) -> None:
    for data in (b"", b"\xff\xfe\x00", b"log: x\nhash: sha256\nkey: y\n"):
        (tmp_path / "odd.txt").write_bytes(data)
        code, said = run(Forged(events(9)), certificate=tmp_path / "odd.txt")
        assert (code, said.split(" / ")[0]) == (BAD_INPUT, "this is no certificate")


def test_wrong_arguments_are_bad_input_and_nothing_else() -> None:
    for arguments in ([], ["a.zip", "--nonsense"]):
        done = subprocess.run(
            [sys.executable, str(PROGRAM), *arguments], capture_output=True, check=False
        )
        assert done.returncode == BAD_INPUT


def test_what_breaks_the_program_itself_gets_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("odd\x1b")

    monkeypatch.setattr(verify.Verification, "run", broken)
    FIRST.certificate(tmp_path / "c.txt")
    bundle = Forged(events(3)).pack(tmp_path / "b.zip")
    code = verify.main([str(bundle), "--certificate", str(tmp_path / "c.txt"), "--forget"])
    said = capsys.readouterr().out
    assert code == BAD_INPUT
    assert "ZeroDivisionError odd<U+001B>" in said


def test_the_memory_is_one_file_for_a_name(run: Run, tmp_path: Path) -> None:
    run(Forged(events(20)))
    kept = json.loads(memory(tmp_path).read_text())
    assert kept["log"] == LOG
    assert [head[1] for history in kept["histories"] for head in history["heads"]] == [20]
