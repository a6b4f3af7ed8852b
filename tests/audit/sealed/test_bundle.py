"""The evidence as a file: verified by a Python that has nothing of ours, harmed in every way."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit.office.verifier import verify
from tests.audit.sealed.conftest import EVENTS, Sealed, copied

FINE, TAMPERED, INCOMPLETE, CANNOT, BAD_INPUT = range(5)
MUTATIONS = 10_000


@dataclass
class Exported:
    """A bundle, its certificate, and the verifier that was in it."""

    bundle: Path
    certificate: Path
    home: Path

    def run(self, *arguments: str, bundle: Path | None = None) -> tuple[int, str]:
        """As a stranger would: isolated, with a home of its own, only the file's own verify.py."""
        with zipfile.ZipFile(self.bundle) as archive:
            program = Path(archive.extract("verify.py", self.home))
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(program), str(bundle or self.bundle), *arguments],
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    def check(self, bundle: Path | None = None) -> tuple[int, str]:
        return self.run("--certificate", str(self.certificate), bundle=bundle)


def export(sealed: Sealed, folder: Path, name: str = "b.zip", *arguments: str) -> Exported:
    folder.mkdir(parents=True, exist_ok=True)
    home = folder / "home"
    home.mkdir(exist_ok=True)
    target = folder / name
    done = sealed.manage("audit_export", "--format", "bundle", "--output", str(target), *arguments)
    assert done.returncode == 0, done.stderr
    certificate = home.parent / "certificate.txt"
    shutil.copyfile(sealed.custody.certificate, certificate)
    (folder / "fusebox-certificate.txt").unlink(missing_ok=True)
    return Exported(target, certificate, home)


@pytest.fixture(scope="session")
def exported(
    sealed_template: Sealed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exported]:
    folder = tmp_path_factory.mktemp("bundle")
    with copied(sealed_template, folder / "sealer") as made:
        yield export(made, folder)


def rewrite(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The bundle packed again with other content."""
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


def lines_of(files: dict[str, bytes]) -> list[bytes]:
    return files["events.jsonl"].splitlines(keepends=True)


def test_a_bundle_verifies_with_nothing_of_ours(exported: Exported) -> None:
    code, said = exported.check()
    assert code == FINE, said
    assert f"{EVENTS} of {EVENTS} match" in said


def test_without_the_certificate_it_says_which_key_to_compare(exported: Exported) -> None:
    code, said = exported.run()
    assert code == CANNOT
    fingerprint = exported.certificate.read_text().split("fingerprint: ")[1].split("\n")[0]
    assert fingerprint in said


def test_a_certificate_beside_the_bundle_is_found(exported: Exported, tmp_path: Path) -> None:
    shutil.copyfile(exported.bundle, tmp_path / "b.zip")
    shutil.copyfile(exported.certificate, tmp_path / "fusebox-certificate.txt")
    assert exported.run("--forget", bundle=tmp_path / "b.zip")[0] == FINE


def test_the_command_verifies_a_bundle_too(sealed_template: Sealed, exported: Exported) -> None:
    assert sealed_template.manage("audit_verify", str(exported.bundle)).returncode == FINE
    assert sealed_template.manage("audit_verify", "/nowhere.zip").returncode == BAD_INPUT


def test_a_bundle_of_a_time_is_a_range(sealed: Sealed, tmp_path: Path) -> None:
    sealed.happen(2)
    [[moment]] = sealed.ask("SELECT at FROM ledger_event ORDER BY id DESC LIMIT 1 OFFSET 3")
    made = export(sealed, tmp_path, "b.zip", "--from", moment.isoformat())
    with zipfile.ZipFile(made.bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["kind"], manifest["events"]) == ("range", 4)
    assert manifest["first"] >= EVENTS
    assert made.check()[0] == FINE


def test_the_next_bundle_extends_the_one_before(sealed: Sealed, tmp_path: Path) -> None:
    first = export(sealed, tmp_path, "1.zip")
    assert first.check()[0] == FINE
    sealed.happen()
    second = export(sealed, tmp_path, "2.zip")
    code, said = second.check()
    assert code == FINE
    assert "extends the head verified here before: yes" in said
    assert "extends the previous bundle's head" in said
    code, said = first.check()
    assert code == FINE
    assert "This head was verified here before, too" in said


def test_another_history_under_the_same_key_is_found(sealed: Sealed, tmp_path: Path) -> None:
    """A fork: the log as it was, and other events after it."""
    files = tmp_path / "kept"
    shutil.copytree(sealed.folder, files)
    sealed.happen()
    first = export(sealed, tmp_path, "1.zip")
    assert first.check()[0] == FINE
    sealed.harm(
        "DELETE FROM ledger_pending",
        f"DELETE FROM ledger_personal WHERE event_id IN (SELECT event_id FROM ledger_leaf"
        f" WHERE position >= {EVENTS})",
        f"DELETE FROM ledger_event WHERE id IN (SELECT event_id FROM ledger_leaf"
        f" WHERE position >= {EVENTS})",
        f"DELETE FROM ledger_leaf WHERE position >= {EVENTS}",
        f"DELETE FROM ledger_checkpoint WHERE size > {EVENTS}",
    )
    shutil.rmtree(sealed.folder)
    shutil.copytree(files, sealed.folder)
    sealed.happen(2)
    assert export(sealed, tmp_path, "2.zip").check()[0] == TAMPERED


def test_a_bundle_across_two_keys_verifies_with_either_certificate(
    sealed: Sealed, tmp_path: Path
) -> None:
    old = tmp_path / "old.txt"
    shutil.copyfile(sealed.custody.certificate, old)
    sealed.change_key()
    made = export(sealed, tmp_path / "x")
    assert made.check()[0] == FINE
    made.certificate = old
    assert made.check()[0] == FINE


def test_a_forged_bundle_with_a_key_of_its_own_is_refused(
    sealed: Sealed, exported: Exported, tmp_path: Path
) -> None:
    """A whole other log of the same name: only the certificate tells."""
    made = export(sealed, tmp_path)
    made.certificate = tmp_path / "other.txt"
    text = exported.certificate.read_text()
    key = verify.Key(text.split("key: ")[1].split("\n")[0])  # type: ignore[no-untyped-call]
    stranger = sealed.custody.new_key(key.name).public
    made.certificate.write_text(text.replace(key.vkey, stranger.vkey))
    code, said = made.check()
    assert code == TAMPERED
    assert "not signed with the key of the certificate" in said


# --- changed content -------------------------------------------------------------------------


def flip(files: dict[str, bytes]) -> None:
    lines = lines_of(files)
    lines[41] = lines[41].replace(b'"outcome":"', b'"outcome":"x', 1)
    files["events.jsonl"] = b"".join(lines)


def drop(files: dict[str, bytes]) -> None:
    lines = lines_of(files)
    del lines[41]
    files["events.jsonl"] = b"".join(lines)


def swap(files: dict[str, bytes]) -> None:
    lines = lines_of(files)
    lines[41], lines[42] = lines[42], lines[41]
    files["events.jsonl"] = b"".join(lines)


def double(files: dict[str, bytes]) -> None:
    lines = lines_of(files)
    files["events.jsonl"] = b"".join([*lines[:41], lines[40], *lines[41:]])


def cut(files: dict[str, bytes]) -> None:
    files["events.jsonl"] = b"".join(lines_of(files)[:-5])


def fit(files: dict[str, bytes]) -> None:
    """Whoever edits an event also edits its leaf hash and the manifest."""
    import hashlib

    flip(files)
    hashes = [hashlib.sha256(b"\x00" + line[:-1]).digest() for line in lines_of(files)]
    files["proofs/leaves.bin"] = b"".join(hashes)
    manifest = json.loads(files["manifest.json"])
    for name in ("events.jsonl", "proofs/leaves.bin"):
        manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
    files["manifest.json"] = json.dumps(manifest).encode()


@pytest.mark.parametrize(
    ("change", "wanted", "word"),
    [
        (flip, TAMPERED, "position 41, event"),
        (swap, TAMPERED, "position 41, event"),
        (fit, TAMPERED, "not those that were signed"),
        (drop, TAMPERED, "position 41, event"),
        (double, TAMPERED, "position 41, event"),
        (cut, INCOMPLETE, f"from position {EVENTS - 5}"),
    ],
)
def test_changed_content_is_named(
    exported: Exported,
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], None],
    wanted: int,
    word: str,
) -> None:
    code, said = exported.check(rewrite(exported.bundle, tmp_path / "x.zip", change))
    assert code == wanted, said
    assert word in said


def test_a_bundle_that_was_only_packed_again_is_fine(exported: Exported, tmp_path: Path) -> None:
    code, said = exported.check(rewrite(exported.bundle, tmp_path / "x.zip", lambda _files: None))
    assert code == FINE
    assert "packed again" in said


@pytest.mark.parametrize(
    "note",
    [
        "{o}\n0{s}\n{r}\n\n{sig}\n",
        "{o}\r\n{s}\r\n{r}\r\n\r\n{sig}\r\n",
        "{o}\n{s}\n{r}\nextra\n\n{sig}\n",
        "other/1\n{s}\n{r}\n\n{sig}\n",
        "{o}\n{s}9\n{r}\n\n{sig}\n",
        "{o}\n{s}\n{r}\n",
        "{o}\n{s}\n{r}\n\n",
        "{o}\n{s}\n{r}\n\n{sig}\n{sig}x\n",
        "",
    ],
)
def test_a_malformed_checkpoint_is_refused(exported: Exported, tmp_path: Path, note: str) -> None:
    def change(files: dict[str, bytes]) -> None:
        text, _, tail = files["checkpoint.txt"].decode().rpartition("\n\n")
        origin, size, root = text.split("\n")
        made = note.format(o=origin, s=size, r=root, sig=tail.strip("\n"))
        files["checkpoint.txt"] = made.encode()

    assert exported.check(rewrite(exported.bundle, tmp_path / "x.zip", change))[0] == TAMPERED


# --- hostile archives ------------------------------------------------------------------------


def add(path: Path, info: zipfile.ZipInfo | str, data: bytes) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b""
        archive.writestr(info, data)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "..\\evil", "extra.txt", "proofs/../x", "C:evil"]
)
def test_a_file_that_has_no_place_is_refused(exported: Exported, tmp_path: Path, name: str) -> None:
    target = Path(shutil.copyfile(exported.bundle, tmp_path / "x.zip"))
    add(target, name, b"x")
    assert exported.check(target)[0] == BAD_INPUT


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_manifests_are_refused(exported: Exported, tmp_path: Path) -> None:
    target = Path(shutil.copyfile(exported.bundle, tmp_path / "x.zip"))
    add(target, "manifest.json", b"{}")
    assert exported.check(target)[0] == BAD_INPUT


def test_a_link_is_refused(exported: Exported, tmp_path: Path) -> None:
    def unlink(files: dict[str, bytes]) -> None:
        del files["VERIFY.md"]

    target = rewrite(exported.bundle, tmp_path / "x.zip", unlink)
    info = zipfile.ZipInfo("VERIFY.md")
    info.external_attr = 0o120777 << 16
    add(target, info, b"/etc/passwd")
    assert exported.check(target)[0] == BAD_INPUT


def test_a_bomb_is_refused(exported: Exported, tmp_path: Path) -> None:
    def bomb(files: dict[str, bytes]) -> None:
        files["events.jsonl"] = b"0" * 50_000_000

    assert exported.check(rewrite(exported.bundle, tmp_path / "x.zip", bomb))[0] == BAD_INPUT


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip" * 100])
def test_what_is_no_archive_is_refused(exported: Exported, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(data)
    assert exported.check(tmp_path / "x.zip")[0] == BAD_INPUT


# --- every single mutation -------------------------------------------------------------------


def mutate(data: bytes, dice: random.Random) -> bytes:
    kind = dice.randrange(5)
    at = dice.randrange(len(data))
    width = dice.randrange(1, 64)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + data[at + width :]
    if kind == 2:
        return data[:at] + data[at : at + width] * 2 + data[at + width :]
    if kind == 3:
        return data[:at]
    other = data[at + width : at + 2 * width]
    return data[:at] + other + data[at : at + width] + data[at + 2 * width :]


def test_every_mutation_is_flagged(exported: Exported, tmp_path: Path) -> None:
    data, dice, target = exported.bundle.read_bytes(), random.Random(20261124), tmp_path / "x.zip"
    certificate = verify.read_certificate(exported.certificate)  # type: ignore[no-untyped-call]

    def verdict(changed: bytes) -> int:
        target.write_bytes(changed)
        try:
            found = verify.Verification(target, certificate, None)  # type: ignore[no-untyped-call]
            code: int = found.run().exit_code  # type: ignore[no-untyped-call]
        except verify.BadBundle:
            return BAD_INPUT
        return code

    missed = 0
    for _ in range(MUTATIONS):
        changed = mutate(data, dice)
        missed += changed != data and verdict(changed) == FINE
    assert missed == 0
    assert {verdict(data) for _ in range(MUTATIONS // 10)} == {FINE}
