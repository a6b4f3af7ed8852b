"""Proofs from the database: subtree roots, compact ranges, audit paths, the newest checkpoint."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connection

from audit.ledger.models import SigningKey
from audit.ledger.note import BadNote, PublicKey
from audit.ledger.sealing import CHANNEL, LEVELS
from audit.ledger.tree import HASHERS, Edge, Hasher, audit_path, cover, range_root

LOOK_S = 0.05
BLOCK = 256


class NotSealed(RuntimeError):
    """The sealer did not seal and sign in time; the text says what it says of itself."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A tree and one of its signed heads."""

    tree: int
    origin: str
    hasher: Hasher
    size: int
    root: bytes
    note: str


class Proofs:
    """Reads one tree. Roots of complete subtrees are remembered for as long as this lives."""

    def __init__(self, signed: Signed) -> None:
        self.signed = signed
        self.subtree = lru_cache(maxsize=65_536)(self._subtree)
        self._block = lru_cache(maxsize=4096)(self._read_block)

    def _subtree(self, level: int, index: int) -> bytes:
        """The root of the complete subtree of 2**level leaves that begins at index * 2**level."""
        if level == 0:
            return self._block(0, index // BLOCK)[index % BLOCK]
        below = max((0, *(stored for stored in LEVELS if stored < level)))
        width = 1 << (level - below)
        begin = index * width % BLOCK
        children = self._block(below, index * width // BLOCK)[begin : begin + width]
        if len(children) < width:
            raise NotSealed(f"leaves of the subtree {level}/{index} are missing")
        edge = Edge(self.signed.hasher)
        for value in children:
            edge.append(value)
        return edge.root()

    def _read_block(self, level: int, number: int) -> list[bytes]:
        """Up to 256 neighbours at a level that is stored: leaves, or roots of their subtrees."""
        begin, end = number * BLOCK, (number + 1) * BLOCK
        if level == 0:
            found = _rows(
                "SELECT leaf_hash FROM ledger_leaf WHERE tree = %s AND position >= %s"
                " AND position < %s ORDER BY position",
                [self.signed.tree, begin, end],
            )
        else:
            found = _rows(
                "SELECT root FROM ledger_subtree WHERE tree = %s AND level = %s AND index >= %s"
                " AND index < %s ORDER BY index",
                [self.signed.tree, level, begin, end],
            )
        return [bytes(value) for (value,) in found]

    def cover(self, begin: int, end: int) -> list[bytes]:
        """The roots of the largest complete subtrees of the leaves [begin, end)."""
        return [self.subtree(level, index) for level, index in cover(begin, end)]

    def path(self, position: int) -> list[bytes]:
        """The audit path of a leaf to the signed root."""
        return audit_path(self.signed.hasher, position, self.signed.size, self.subtree)

    def root_at(self, size: int) -> bytes:
        """The root of the first `size` leaves."""
        if size == 0:
            return self.signed.hasher.empty()
        return range_root(self.signed.hasher, 0, size, self.subtree)


def newest(tree: int = 0) -> Signed | None:
    """The newest signed head, of the newest tree or of the one given."""
    found = _rows(
        "SELECT t.number, t.origin, t.hash, c.size, c.root, c.note FROM ledger_checkpoint c"
        " JOIN ledger_tree t ON t.number = c.tree WHERE %s IN (0, t.number)"
        " ORDER BY t.number DESC, c.size DESC, c.id DESC LIMIT 1",
        [tree],
    )
    if not found:
        return None
    number, origin, hash_name, size, root, note = found[0]
    return Signed(number, origin, HASHERS[hash_name], size, bytes(root), note)


def fresh(timeout_s: float = 10.0) -> Signed:
    """A signed head that covers every event committed before this call. Raises NotSealed."""
    last = _rows("SELECT coalesce(max(number), 0) FROM ledger_pending", [])[0][0]
    deadline = time.monotonic() + timeout_s
    size: int | None = None
    while True:
        _rows("SELECT pg_notify(%s, '')", [CHANNEL])
        if size is None and not _rows(
            "SELECT 1 FROM ledger_pending WHERE number <= %s LIMIT 1", [last]
        ):
            size = _sealed_size()
        signed = newest() if size is not None else None
        if signed and size is not None and signed.size >= size:
            return signed
        if time.monotonic() > deadline:
            raise NotSealed(_why_not())
        time.sleep(LOOK_S)


def signing_keys() -> list[tuple[PublicKey, str]]:
    """The sealer's public keys in the order of their use, each with its endorsement."""
    found = _rows("SELECT vkey, endorsement FROM ledger_signingkey ORDER BY id", [])
    try:
        return [(PublicKey.parse(vkey), endorsement) for vkey, endorsement in found]
    except BadNote as error:
        raise NotSealed(f"a key in the database is malformed: {error}") from error


def _sealed_size() -> int:
    found = _rows(
        "SELECT coalesce(max(position) + 1, 0) FROM ledger_leaf"
        " WHERE tree = (SELECT max(number) FROM ledger_tree)",
        [],
    )
    return int(found[0][0])


def _why_not() -> str:
    found = _rows("SELECT state, problem, beat_at FROM ledger_sealer", [])
    if not found:
        return "The log has never been sealed: the sealer has not run yet."
    state, problem, beat_at = found[0]
    return problem if state != "sealing" else f"The sealer is silent since {beat_at:%F %T} UTC."


def _rows(query: str, values: Sequence[str | int]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def key_in_use() -> str:
    """The newest of the log's keys, as a vkey."""
    newest = SigningKey.objects.order_by("-pk").values_list("vkey", flat=True).first()
    return newest or "-"
