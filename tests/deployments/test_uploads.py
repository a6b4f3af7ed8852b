"""Uploads: resumable, looked into, imported on a real node, quantized, with adapters."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from access.errors import Denied, Invalid, WrongState
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from deployments import actions, inbox, lease, ollama, runner
from deployments.models import Model, Node, Operation, Upload, UploadedFile
from tests import model_files, model_weights
from tests.conftest import MODEL

ActorOf = Callable[[str], Actor]
CHUNK = 4 * 1024 * 1024


@pytest.fixture(autouse=True)
def own_folder(settings: Settings, tmp_path: Path) -> Path:
    settings.UPLOADS = tmp_path / "uploads"
    return tmp_path / "uploads"


@pytest.fixture
def quiet_node(db: None) -> Node:
    return Node.objects.create(name="n", url="http://127.0.0.1:9", status="online")


def announce(paths: list[Path], **more: Any) -> list[dict[str, Any]]:
    return [{"name": p.name, "size": p.stat().st_size, **more} for p in paths]


def send(actor: Actor, node: Node, paths: list[Path], **more: Any) -> Upload:
    """A whole upload up to its last byte."""
    files = more.pop("files", announce(paths))
    upload = actions.begin_upload(actor=actor, node=node, files=files, **more)
    for path in paths:
        file = upload.files.get(name=path.name)
        with path.open("rb") as source:
            while chunk := source.read(CHUNK):
                file = actions.append(actor=actor, file=file, offset=file.received, chunk=chunk)
    return upload


def imported(actor: Actor, node: Node, paths: list[Path], **more: Any) -> Operation:
    upload = send(actor, node, paths, **more)
    operation = actions.finish_upload(actor=actor, upload=upload)
    runner.run(str(operation.pk))
    operation.refresh_from_db()
    return operation


@pytest.fixture
def drop(model_node_url: str) -> Any:
    """Tags to remove from the shared node afterwards."""
    tags: list[str] = []
    yield tags
    for tag in tags:
        ollama.Node(model_node_url).delete(tag)


def test_a_gguf_is_sent_verified_and_made_a_model(
    actor_of: ActorOf, node: Node, drop: list[str], own_folder: Path
) -> None:
    drop.append("uploaded:1")
    path = model_files.smollm2()
    files = announce([path], sha256=ollama.sha256_of(path))
    operation = imported(actor_of("system"), node, [path], name="uploaded:1", files=files)
    assert (operation.state, operation.problem) == ("succeeded", "")
    assert node.stored.filter(tag="uploaded:1").exists()
    assert Upload.objects.get().state == "imported"
    assert list(own_folder.iterdir()) == []


def test_a_file_with_another_checksum_is_refused(actor_of: ActorOf, node: Node) -> None:
    path = model_files.smollm2()
    files = announce([path], sha256="0" * 64)
    operation = imported(actor_of("system"), node, [path], name="uploaded:2", files=files)
    assert operation.state == "failed"
    assert "arrived damaged" in str(operation.problem)
    assert not node.stored.filter(tag="uploaded:2").exists()


def test_weights_are_quantized_on_import(
    actor_of: ActorOf, node: Node, drop: list[str], tmp_path: Path
) -> None:
    drop.append("quantized:1")
    path = model_files.smollm2_f16(tmp_path)
    operation = imported(actor_of("system"), node, [path], name="quantized:1", quantize="q8_0")
    assert (operation.state, operation.problem) == ("succeeded", "")
    assert Model.objects.get(stored__tag="quantized:1").quantization == "Q8_0"


def test_published_weights_are_made_a_model_that_answers(
    actor_of: ActorOf, node: Node, drop: list[str], tmp_path: Path
) -> None:
    """safetensors with its JSON files, converted by the node and quantized on the way."""
    drop.append("published:1")
    paths = model_weights.safetensors(model_files.smollm2_f16(tmp_path), tmp_path / "published")
    operation = imported(actor_of("system"), node, paths, name="published:1")
    assert (operation.state, operation.problem) == ("succeeded", "")
    made = Model.objects.get(stored__tag="published:1")
    assert (made.family, made.quantization) == ("llama", "F16")
    api = ollama.Node(node.url)
    assert "Paris" in api.probe("published:1", "The capital of France is").text
    api.unload("published:1")


def test_an_adapter_is_attached_and_answers(
    actor_of: ActorOf, node: Node, drop: list[str], tmp_path: Path
) -> None:
    drop.append("adapted:1")
    paths = model_files.adapter(tmp_path / "a")
    operation = imported(actor_of("system"), node, paths, name="adapted:1", base=MODEL)
    assert (operation.state, operation.problem) == ("succeeded", "")
    api = ollama.Node(node.url)
    assert api.probe("adapted:1", "Say hello.").tokens > 0
    api.unload("adapted:1")


def test_an_adapter_for_another_base_is_refused_with_the_nodes_reason(
    actor_of: ActorOf, node: Node, tmp_path: Path
) -> None:
    paths = model_files.adapter(tmp_path / "a", hidden=320)
    operation = imported(actor_of("system"), node, paths, name="adapted:2", base=MODEL)
    assert operation.state == "failed"
    assert "it may be for another model: “Cannot reshape" in str(operation.problem)
    assert ollama.Node(node.url).digest_of("adapted:2") is None


def test_it_is_resumed_where_it_was(actor_of: ActorOf, quiet_node: Node) -> None:
    actor = actor_of("system")
    upload = actions.begin_upload(
        actor=actor, node=quiet_node, name="x", files=[{"name": "x.gguf", "size": 10}]
    )
    file = upload.files.get()
    actions.append(actor=actor, file=file, offset=0, chunk=b"GGUF")
    with pytest.raises(WrongState, match=r"next byte of x\.gguf is 4"):
        actions.append(actor=actor, file=file, offset=0, chunk=b"GGUF")
    actions.append(actor=actor, file=file, offset=4, chunk=b"123456")
    assert inbox.path_of(upload.files.get()).read_bytes() == b"GGUF123456"


def test_more_than_announced_is_refused(actor_of: ActorOf, quiet_node: Node) -> None:
    actor = actor_of("system")
    upload = actions.begin_upload(
        actor=actor, node=quiet_node, name="x", files=[{"name": "x.gguf", "size": 3}]
    )
    with pytest.raises(Invalid, match="announced"):
        actions.append(actor=actor, file=upload.files.get(), offset=0, chunk=b"GGUF")


@pytest.mark.parametrize(
    "name",
    ["../x.gguf", "/etc/passwd", "a/b.gguf", "a\\b.gguf", "x.exe", "x.gguf\x00", "", ".gguf",
     "a..b.gguf", "x" * 200 + ".gguf", "x\n.gguf", "x.gguf ", "ü.gguf"],
)  # fmt: skip
def test_a_hostile_file_name_is_refused(actor_of: ActorOf, quiet_node: Node, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        actions.begin_upload(
            actor=actor_of("system"), node=quiet_node, name="x", files=[{"name": name, "size": 9}]
        )
    assert refused.value.field == "files"
    assert not Upload.objects.exists()


def test_forty_gigabytes_are_beyond_the_limit(actor_of: ActorOf, quiet_node: Node) -> None:
    with pytest.raises(Invalid, match="FUSEBOX_UPLOAD_MAX_GB"):
        actions.begin_upload(
            actor=actor_of("system"),
            node=quiet_node,
            name="x",
            files=[{"name": "x.gguf", "size": 40 * 10**9}],
        )


def key(name: bytes, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name + struct.pack("<I", kind) + value


def tensor(name: bytes, shape: list[int], kind: int, offset: int) -> bytes:
    sizes = b"".join(struct.pack("<Q", n) for n in shape)
    lead = struct.pack("<Q", len(name)) + name + struct.pack("<I", len(shape))
    return lead + sizes + struct.pack("<IQ", kind, offset)


def gguf(tensors: int, keys: int, body: bytes, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + body


LYING = {
    "no magic": b"PK\x03\x04" + bytes(100),
    "empty of sense": b"GGUF",
    "future version": gguf(1, 0, b"", version=99),
    "big endian": b"GGUF" + struct.pack(">IQQ", 3, 1, 0),
    "a billion tensors": gguf(10**9, 0, b""),
    "no tensor": gguf(0, 0, b""),
    "a billion keys": gguf(1, 10**9, b""),
    "a key of an exabyte": gguf(1, 1, struct.pack("<Q", 2**60)),
    "a text of an exabyte": gguf(1, 1, key(b"k", 8, struct.pack("<Q", 2**60))),
    "a list of 2^63": gguf(1, 1, key(b"k", 9, struct.pack("<IQ", 4, 2**63))),
    "a list in a list": gguf(1, 1, key(b"k", 9, struct.pack("<IQ", 9, 1))),
    "an unknown kind": gguf(1, 1, key(b"k", 77, b"1234")),
    "an odd alignment": gguf(1, 1, key(b"general.alignment", 4, struct.pack("<I", 3))),
    "nine dimensions": gguf(1, 0, tensor(b"t", [1] * 9, 0, 0)),
    "an unknown type": gguf(1, 0, tensor(b"t", [8], 4242, 0)),
    "tensors beyond the end": gguf(1, 0, tensor(b"t", [2**40], 0, 0)),
    "no data": gguf(1, 0, tensor(b"t", [8], 0, 0)),
}


@pytest.mark.parametrize("content", LYING.values(), ids=LYING.keys())
def test_a_lying_gguf_is_refused(
    actor_of: ActorOf, quiet_node: Node, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    upload = send(actor_of("system"), quiet_node, [path], name="x")
    with pytest.raises(Invalid, match="damaged or no model"):
        actions.finish_upload(actor=actor_of("system"), upload=upload)
    assert not Operation.objects.exists()


def test_a_gguf_cut_in_the_middle_is_refused(
    actor_of: ActorOf, quiet_node: Node, tmp_path: Path
) -> None:
    path = tmp_path / "x.gguf"
    with model_files.smollm2().open("rb") as whole:
        path.write_bytes(whole.read(20_000_000))
    upload = send(actor_of("system"), quiet_node, [path], name="x")
    with pytest.raises(Invalid, match="it was cut"):
        actions.finish_upload(actor=actor_of("system"), upload=upload)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 8,
        struct.pack("<Q", 4) + b"nope",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 56)
        + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}  '
        + b"1234",
        struct.pack("<Q", 6) + b"[" * 6,
    ],
)
def test_lying_safetensors_are_refused(
    actor_of: ActorOf, quiet_node: Node, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    upload = send(actor_of("system"), quiet_node, [path], name="x")
    with pytest.raises(Invalid, match="damaged or no model"):
        actions.finish_upload(actor=actor_of("system"), upload=upload)


def test_an_unfinished_upload_is_not_imported(actor_of: ActorOf, quiet_node: Node) -> None:
    upload = actions.begin_upload(
        actor=actor_of("system"),
        node=quiet_node,
        name="x",
        files=[{"name": "x.gguf", "size": 9}],
    )
    with pytest.raises(WrongState, match="9 bytes are still missing"):
        actions.finish_upload(actor=actor_of("system"), upload=upload)


def test_a_name_that_the_node_has_is_refused(actor_of: ActorOf, node: Node) -> None:
    with pytest.raises(Invalid, match="has a model of this name"):
        actions.begin_upload(
            actor=actor_of("system"), node=node, name=MODEL, files=[{"name": "x.gguf", "size": 9}]
        )


@pytest.mark.parametrize("name", ["security", "audit", "member"])
def test_others_may_not_upload(actor_of: ActorOf, quiet_node: Node, name: str) -> None:
    with pytest.raises(Denied):
        actions.begin_upload(
            actor=actor_of(name), node=quiet_node, name="x", files=[{"name": "x.gguf", "size": 9}]
        )


def test_what_nobody_goes_on_with_is_thrown_away(actor_of: ActorOf, quiet_node: Node) -> None:
    actor = actor_of("system")
    upload = actions.begin_upload(
        actor=actor, node=quiet_node, name="x", files=[{"name": "x.gguf", "size": 9}]
    )
    actions.append(actor=actor, file=upload.files.get(), offset=0, chunk=b"GGUF")
    assert actions.discard_stale_uploads(actor=Actor.system("t")) == 0
    Upload.objects.update(touched_at="2020-01-01T00:00Z")
    assert actions.discard_stale_uploads(actor=Actor.system("t")) == 1
    upload.refresh_from_db()
    assert upload.state == "discarded"
    assert Event.objects.filter(act="model.upload", outcome="aborted").exists()
    with pytest.raises(WrongState):
        actions.append(actor=actor, file=UploadedFile.objects.get(), offset=4, chunk=b"x")


def test_a_link_in_the_place_of_a_file_is_not_followed(
    actor_of: ActorOf, quiet_node: Node, tmp_path: Path
) -> None:
    upload = actions.begin_upload(
        actor=actor_of("system"),
        node=quiet_node,
        name="x",
        files=[{"name": "x.gguf", "size": 9}],
    )
    file = upload.files.select_related("upload").get()
    inbox.folder(upload).mkdir(parents=True)
    inbox.path_of(file).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WrongState, match="cannot store"):
        actions.append(actor=actor_of("system"), file=file, offset=0, chunk=b"GGUF")


def test_an_import_cancelled_while_the_node_makes_it_leaves_no_model(
    actor_of: ActorOf, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = lease.Lease.step

    def cancelled(self: lease.Lease, name: str, text: str = "") -> None:
        step(self, name, text)
        if name == "make":
            self._cancelled.set()

    monkeypatch.setattr(lease.Lease, "step", cancelled)
    operation = imported(actor_of("system"), node, [model_files.smollm2()], name="unwanted:1")
    assert operation.state == "cancelled"
    assert ollama.Node(node.url).digest_of("unwanted:1") is None
