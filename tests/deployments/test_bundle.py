"""Signed bundles: out of one real node, into another; and everything a stranger could send."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from access.errors import Denied
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from console.embedded.installation import Installation
from deployments import actions, bundle, ollama
from deployments.models import Node, StoredModel
from tests.conftest import MODEL
from tests.nodes import second_node

ActorOf = Callable[[str], Actor]
BLOB = b"weights"


@pytest.fixture(autouse=True)
def own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.UPLOADS = tmp_path / "uploads"
    settings.BUNDLE_KEY = tmp_path / "key"


def run(*arguments: object) -> str:
    told = io.StringIO()
    call_command("model_bundle", *map(str, arguments), stdout=told, stderr=told)
    return told.getvalue()


def test_a_model_leaves_one_site_and_answers_at_another(
    actor_of: ActorOf,
    node: Node,
    installation: Installation,
    tmp_path: Path,
    settings: Settings,
) -> None:
    file = tmp_path / "smollm2.bundle"
    assert "signed by" in run("export", MODEL, "--node", node.name, "--output", file)
    ours = run("key").strip()
    settings.BUNDLE_KEY = tmp_path / "key of the other site"
    with second_node(installation, tmp_path / "models") as url:
        other = actions.register_node(actor=actor_of("system"), name="other", url=url)
        with pytest.raises(CommandError, match="whom nobody here trusts"):
            run("import", file, "--node", "other")
        assert not other.stored.exists()
        run("import", file, "--node", "other", "--trust", ours)
        assert "Paris" in ollama.Node(url).probe(MODEL, "What is the capital of France?").text
        assert other.stored.get().tag == MODEL
    acts = set(Event.objects.values_list("act", flat=True))
    assert {"model.export", "model.unpack"} <= acts


@pytest.mark.parametrize("name", ["security", "audit", "member"])
def test_others_may_not(actor_of: ActorOf, node: Node, tmp_path: Path, name: str) -> None:
    stored = StoredModel.objects.get(tag=MODEL)
    with pytest.raises(Denied):
        actions.export_bundle(actor=actor_of(name), stored=stored, path=tmp_path / "x")
    with pytest.raises(Denied):
        actions.unpack_bundle(actor=actor_of(name), node=node, path=tmp_path / "x")


@pytest.fixture
def good(tmp_path: Path) -> Iterator[Path]:
    """A small bundle of our own."""
    import hashlib

    folder = tmp_path / "folder"
    folder.mkdir()
    entries = []
    for content in (b"config", BLOB):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        (folder / digest.replace(":", "-")).write_bytes(content)
        entries.append({"digest": digest, "size": len(content), "mediaType": "x/y"})
    (folder / "manifest").write_text(
        json.dumps({"schemaVersion": 2, "config": entries[0], "layers": entries[1:]})
    )
    bundle.write(folder, "m:1", tmp_path / "good.bundle")
    yield tmp_path / "good.bundle"


Members = list[tuple[tarfile.TarInfo, bytes]]


def rewritten(path: Path, change: Callable[[Members], object]) -> Path:
    """The bundle with its members changed."""
    with tarfile.open(path) as tar:
        members = [(m, tar.extractfile(m).read()) for m in tar.getmembers()]  # type: ignore[union-attr]
    change(members)
    target = path.with_name("changed.bundle")
    with tarfile.open(target, "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target


def read(path: Path) -> bundle.Head:
    folder = path.parent / "out"
    folder.mkdir()
    return bundle.read(path, folder)


def test_a_good_one_is_read_whole(good: Path) -> None:
    assert read(good).tag == "m:1"
    assert BLOB in [p.read_bytes() for p in (good.parent / "out").iterdir()]


def change_head(members: Members) -> None:
    members[0] = (members[0][0], members[0][1].replace(b"m:1", b"m:2"))


def change_blob(members: Members) -> None:
    members[-1] = (members[-1][0], b"w" * len(members[-1][1]))


def grow_blob(members: Members) -> None:
    members[-1] = (members[-1][0], members[-1][1] + b"x")


def add_path(members: Members) -> None:
    members.append((tarfile.TarInfo("../../evil"), b"x"))


def add_absolute(members: Members) -> None:
    members.append((tarfile.TarInfo("/etc/evil"), b"x"))


def link_blob(members: Members) -> None:
    member = members[-1][0]
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    members[-1] = (member, b"")


def no_signature(members: Members) -> None:
    del members[1]


def empty_signature(members: Members) -> None:
    members[1] = (members[1][0], b'{"key": "", "signature": ""}')


def twice(members: Members) -> None:
    members.append(members[-1])


def cut(members: Members) -> None:
    members.pop()


@pytest.mark.parametrize(
    "change",
    [
        change_head,
        change_blob,
        grow_blob,
        add_path,
        add_absolute,
        link_blob,
        no_signature,
        empty_signature,
        twice,
        cut,
    ],
)
def test_a_changed_one_is_refused(good: Path, change: Callable[[Members], object]) -> None:
    changed = rewritten(good, change)
    with pytest.raises(bundle.Bad):
        read(changed)
    assert not (good.parent / "out" / "manifest").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x00" * 4096, b"x" * 5000])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(bundle.Bad):
        read(tmp_path / "x")


def test_one_cut_in_the_middle_is_refused(good: Path) -> None:
    whole = good.read_bytes()
    good.write_bytes(whole[: whole.index(BLOB) + 3])
    with pytest.raises(bundle.Bad):
        read(good)


def test_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    bundle.own_key()
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
