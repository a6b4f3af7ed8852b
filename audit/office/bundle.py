"""The evidence as one file: canonical events with the proofs that they are in the signed log.

A range of time becomes all leaves between the first and the last event of that time, proved
complete; any other filter becomes a selection, each event with a proof of its own, and so does a
range of which retention has removed something: the manifest says how much.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from audit.ledger import proofs
from audit.ledger.log_names import base_of
from audit.ledger.models import Checkpoint, Event
from audit.ledger.proofs import Proofs, Signed
from audit.office import export, outside_heads, search
from audit.office.filters import Filter
from audit.office.formats.base import PIECE_BYTES
from audit.office.reading import read_leaf

HERE = Path(__file__).parent / "verifier"
TEXTS = ("VERIFY.md", "verify.py", "verify.html")
MOMENT = (1980, 1, 1, 0, 0, 0)
Rows = Iterator[tuple[Any, ...]]


@dataclass
class Bundle:
    """A bundle that was made: what its event says of it."""

    signed: Signed
    kind: str
    count: int = 0
    first: int = 0
    end: int = 0
    manifest_hash: str = ""
    removed: int = 0
    files: dict[str, str] = field(default_factory=dict)

    @property
    def details(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "kind": self.kind,
            "tree": self.signed.tree,
            "size": self.signed.size,
            "manifest": self.manifest_hash,
            "removed": self.removed,
        }


def build(
    wanted: Filter, target: IO[bytes], progress: Callable[[int], None] = lambda _done: None
) -> Bundle:
    """Write the bundle of `wanted` to an empty file that can be read and written.

    It holds what was committed before the call. Raises proofs.NotSealed when the sealer is away.
    """
    signed = proofs.fresh()
    only_time = set(wanted.active()) <= {"start", "end"}
    made = Bundle(signed, "selection")
    with ExitStack() as stack:
        connection = stack.enter_context(export.snapshot())
        spool = stack.enter_context(tempfile.TemporaryFile())
        archive = stack.enter_context(zipfile.ZipFile(target, "w", allowZip64=True))
        writer = _Writer(archive, made, progress)
        reader = Proofs(signed)
        made.removed = _removed(connection, wanted, signed)
        if only_time and not made.removed:
            made.kind = "range"
            _range(connection, wanted, writer, reader, spool)
        else:
            _selection(connection, wanted, writer, reader, spool)
        _rest(writer, reader)
        _manifest(writer, wanted)
    _seal(target)
    return made


class _Writer:
    """Files of the archive, each hashed while it is written."""

    def __init__(
        self, archive: zipfile.ZipFile, made: Bundle, progress: Callable[[int], None]
    ) -> None:
        self.archive, self.made, self.progress = archive, made, progress

    def add(self, name: str, pieces: Iterator[bytes], *, packed: bool = True) -> None:
        info = zipfile.ZipInfo(name, MOMENT)
        info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        info.external_attr = 0o100644 << 16
        digest = hashlib.sha256()
        with self.archive.open(info, "w", force_zip64=True) as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
        self.made.files[name] = digest.hexdigest()

    def add_json(self, name: str, value: object) -> None:
        text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
        self.add(name, iter([text.encode() + b"\n"]))


def _range(
    connection: export.Connection, wanted: Filter, writer: _Writer, reader: Proofs, spool: IO[bytes]
) -> None:
    made, signed = writer.made, reader.signed
    made.first, made.end = _positions(connection, wanted, signed)
    made.count = made.end - made.first
    rows = export.copy(
        connection,
        "SELECT l.leaf_hash, e.leaf FROM ledger_leaf l JOIN ledger_event e ON e.id = l.event_id"
        " WHERE l.tree = %s AND l.position >= %s AND l.position < %s ORDER BY l.position",
        (signed.tree, made.first, made.end),
        ["bytea", "bytea"],
    )
    writer.add("events.jsonl", _events(rows, spool, writer))
    writer.add("proofs/leaves.bin", _spooled(spool), packed=False)
    before, after = reader.cover(0, made.first), reader.cover(made.end, signed.size)
    writer.add_json("proofs/range.json", {"before": _hex(before), "after": _hex(after)})


def _removed(connection: export.Connection, wanted: Filter, signed: Signed) -> int:
    """How many events of the time wanted retention has removed: what is left is no whole range."""
    row = connection.execute(
        "SELECT count(*) FROM ledger_removedspan s JOIN ledger_leaf l ON l.tree = s.tree"
        " AND l.position BETWEEN s.first AND s.last WHERE s.tree = %s"
        " AND l.event_id BETWEEN %s AND %s",
        [
            signed.tree,
            search.first_id(wanted.start) if wanted.start else UUID(int=0),
            search.last_id(wanted.end) if wanted.end else UUID(int=2**128 - 1),
        ],
    ).fetchone()
    return int(row[0]) if row else 0


def _positions(connection: export.Connection, wanted: Filter, signed: Signed) -> tuple[int, int]:
    """The range of leaves that has every event of the time wanted."""
    if not wanted.active():
        return 0, signed.size
    query, values = export.sql(search.events(wanted).order_by().values_list("id"), "uuid")
    positions = "SELECT coalesce(min(position), 0), coalesce(max(position) + 1, 0) FROM ledger_leaf"
    only = f" WHERE tree = %s AND position < %s AND event_id IN ({query})"
    row = connection.execute(positions + only, [signed.tree, signed.size, *values]).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def _selection(
    connection: export.Connection, wanted: Filter, writer: _Writer, reader: Proofs, spool: IO[bytes]
) -> None:
    signed = reader.signed
    query, values = export.sql(search.events(wanted).order_by().values_list("id"), "uuid")
    leaves = "SELECT l.position, e.leaf FROM ledger_leaf l JOIN ledger_event e ON e.id = l.event_id"
    only = f" WHERE l.tree = %s AND l.position < %s AND e.id IN ({query}) ORDER BY l.position"
    values = (signed.tree, signed.size, *values)
    rows = export.copy(connection, leaves + only, values, ["int8", "bytea"])
    proved = ((_proof(reader, position), leaf) for position, leaf in rows)
    writer.add("events.jsonl", _counted(_events(proved, spool, writer), writer.made))
    writer.add("proofs/inclusion.jsonl", _spooled(spool))


def _proof(reader: Proofs, position: int) -> bytes:
    value = {"position": position, "path": _hex(reader.path(position))}
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _events(rows: Rows, spool: IO[bytes], writer: _Writer) -> Iterator[bytes]:
    """The leaves as lines; what belongs to each goes to the spool."""
    lines, beside, size, done = [], [], 0, 0
    for proof, leaf in rows:
        lines.append(leaf)
        beside.append(proof)
        size += len(leaf)
        if size >= PIECE_BYTES:
            spool.write(b"".join(beside))
            yield b"\n".join([*lines, b""])
            done += len(lines)
            writer.progress(done)
            lines, beside, size = [], [], 0
    spool.write(b"".join(beside))
    if lines:
        yield b"\n".join([*lines, b""])


def _counted(pieces: Iterator[bytes], made: Bundle) -> Iterator[bytes]:
    for piece in pieces:
        made.count += piece.count(b"\n")
        yield piece


def _spooled(spool: IO[bytes]) -> Iterator[bytes]:
    spool.seek(0)
    while piece := spool.read(PIECE_BYTES):
        yield piece


def _rest(writer: _Writer, reader: Proofs) -> None:
    """The head, the keys, what links it to the bundle before, and how to verify all of it."""
    signed = reader.signed
    note = outside_heads.cosigned(signed.tree, signed.size, signed.note)
    writer.add("checkpoint.txt", iter([note.encode()]))
    keys = [{"vkey": key.vkey, "endorsement": word} for key, word in proofs.signing_keys()]
    writer.add_json("keys.json", keys)
    previous = _previous(signed)
    if previous is not None:
        writer.add("previous-checkpoint.txt", iter([previous.note.encode()]))
        writer.add_json("proofs/consistency.json", _link(reader, previous.size))
    _outside(writer, reader)
    for name in TEXTS:
        if (HERE / name).exists():
            writer.add(name, iter([(HERE / name).read_bytes()]))


def _outside(writer: _Writer, reader: Proofs) -> None:
    """Heads that outsiders gave their word on, each with the proof that this one extends it."""
    signed, listed = reader.signed, []
    heads = outside_heads.for_archive(signed.tree, writer.made.end or signed.size, signed.size)
    for number, head in enumerate(heads, 1):
        writer.add(f"outside/{number}.txt", iter([head.note.encode()]))
        if head.token:
            writer.add(f"outside/{number}.tsr", iter([head.token]))
        listed.append(_link(reader, head.size))
    if listed:
        writer.add_json("proofs/outside.json", listed)


def _link(reader: Proofs, size: int) -> dict[str, Any]:
    """The proof that the signed head extends the one of `size` events."""
    return {
        "from": size,
        "before": _hex(reader.cover(0, size)),
        "after": _hex(reader.cover(size, reader.signed.size)),
    }


def _previous(signed: Signed) -> Checkpoint | None:
    """The head of the bundle that was made before this one, of the same tree."""
    event = Event.objects.filter(act="audit.export", object_label="bundle").order_by("-id").first()
    details = read_leaf(bytes(event.leaf)).get("details", {}) if event else {}
    if details.get("tree") != signed.tree:
        return None
    known = Checkpoint.objects.filter(tree=signed.tree, size=details.get("size", -1))
    return known.order_by("pk").first()


def _manifest(writer: _Writer, wanted: Filter) -> None:
    made, signed = writer.made, writer.made.signed
    values: dict[str, Any] = {
        "format": "fusebox-bundle-1",
        "log": base_of(signed.origin),
        "origin": signed.origin,
        "hash": signed.hasher.name,
        "size": signed.size,
        "root": base64.b64encode(signed.root).decode(),
        "kind": made.kind,
        "events": made.count,
        "filter": wanted.active(),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": dict(made.files),
    }
    if made.removed:
        values["removed"] = made.removed
    if made.kind == "range":
        values |= {"first": made.first, "end": made.end}
    text = json.dumps(values, indent=1, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    made.manifest_hash = hashlib.sha256(text).hexdigest()
    writer.add("manifest.json", iter([text]))


def _seal(target: IO[bytes]) -> None:
    """The archive's comment: the hash of all that is before it, so that any damage shows."""
    size = len("sha256:") + 64
    target.seek(-2, 2)
    target.write(size.to_bytes(2, "little"))
    target.seek(0)
    digest = hashlib.sha256()
    while piece := target.read(1 << 20):
        digest.update(piece)
    target.write(b"sha256:" + digest.hexdigest().encode())
    target.flush()


def _hex(hashes: list[bytes]) -> list[str]:
    return [value.hex() for value in hashes]
