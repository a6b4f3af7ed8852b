"""The trees of a log as the database has them, and the signed heads that they must lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from audit.ledger.certificate import Certificate
from audit.ledger.log_names import base_of, origin_of
from audit.ledger.note import BadNote, Checkpoint, PublicKey, open_note, read_checkpoint
from audit.ledger.report import Report
from audit.ledger.sealing import LEVELS
from audit.ledger.snapshot import Connection
from audit.ledger.tree import HASHERS, Edge, Hasher
from audit.ledger.walk import Head

# The heads that outsiders gave their word on, of the tree of a number from so many leaves on; of
# all trees where that is 0.
Kept = Callable[[int, int], Sequence[str]]
TREES = (
    "SELECT number, coalesce(origin, ''), coalesce(hash, '') FROM ledger_tree"
    " WHERE number IS NOT NULL ORDER BY number"
)
HEADS = (
    "SELECT coalesce(size, -1), coalesce(root, ''), coalesce(note, '') FROM ledger_checkpoint"
    " WHERE tree = %s ORDER BY id"
)
SUBTREES = "SELECT level, index, coalesce(root, '') FROM ledger_subtree WHERE tree = %s"
NEXT = "SELECT min(tree) FROM ledger_{} WHERE tree > %s"
NO_HEADS = "SELECT count(*) FROM ledger_checkpoint WHERE tree IS NULL"
BEFORE_ALL = -(2**15) - 1


class Trees:
    """`found`: all trees, the oldest first; `heads` of each are those that its leaves must lead to.
    `since` of the newest is where the verification begins, 0 for the beginning of the log."""

    def __init__(
        self,
        connection: Connection,
        report: Report,
        certificate: Certificate | None,
        keys: Sequence[PublicKey],
    ) -> None:
        self._report = report
        self._keys = keys
        rows = connection.execute(TREES).fetchall()
        self.found = [
            Head(number, origin, Edge(hasher))
            for number, origin, hash_name in rows
            if (hasher := self._hasher(number, origin, hash_name, certificate))
        ]
        if not rows:
            report.incomplete("nothing was ever sealed")
        self._strays(connection, {number for number, _origin, _hash in rows})
        for tree in self.found:
            self._signed_heads(connection, tree)
            for level, index, root in connection.execute(SUBTREES, [tree.number]):
                tree.subtrees[level, index] = bytes(root)
        report.origin = self.found[-1].origin if self.found else ""

    def outside(
        self, given: Sequence[str], kept: Kept | None, since: int, since_origin: str
    ) -> None:
        """Heads that others have: `given` ones are compared, wherever they are. Where one is of
        what was verified before, all of it is verified again."""
        heads = [found for note in given if (found := self._outside_head(note))]
        newest = self.found[-1] if self.found else None
        if newest and since and since_origin in ("", newest.origin):
            self._begin_later(newest, since, heads)
        if newest and since and not newest.since:
            self._report.notes.append("verified from the beginning")
        if newest and kept:
            for note in kept(newest.number, newest.since):
                self._outside_head(note)

    def _hasher(
        self, number: int, origin: str, hash_name: str, certificate: Certificate | None
    ) -> Hasher | None:
        """The hash that a tree has, by the certificate; that it is called as a log calls it."""
        base = certificate.log if certificate else base_of(origin)
        if number < 1 or origin != origin_of(base, number):
            self._report.tampered(f"the tree {number} is called {origin}, which no sealer does")
        wanted = certificate.hash if certificate else hash_name
        if hash_name != wanted or wanted not in HASHERS:
            self._report.tampered(f"the tree {number} has the hash {hash_name}, and not the log's")
        return HASHERS.get(wanted)

    def _strays(self, connection: Connection, numbers: set[int]) -> None:
        for table, what in (("leaf", "leaves"), ("checkpoint", "signed heads")):
            for number in _numbers(connection, table):
                if number not in numbers:
                    self._report.tampered(
                        f"there are {what} of a tree {number}, and there is no such tree"
                    )
        row = connection.execute(NO_HEADS).fetchone()
        if row and row[0]:
            self._report.tampered(f"{row[0]} signed heads are of no tree")

    def _signed_heads(self, connection: Connection, tree: Head) -> None:
        for size, root, note in connection.execute(HEADS, [tree.number]):
            checkpoint = self._open(note, f"the checkpoint at {size} leaves")
            if checkpoint is None:
                continue
            if (checkpoint.origin, checkpoint.size, checkpoint.root) != (
                tree.origin, size, bytes(root),
            ):  # fmt: skip
                self._report.tampered(f"the checkpoint at {size} leaves is not what was signed")
                if checkpoint.origin != tree.origin:
                    continue
            self._add(tree, checkpoint)

    def _outside_head(self, note: str) -> Checkpoint | None:
        checkpoint = self._open(note, "a checkpoint kept outside")
        if checkpoint is None:
            return None
        tree = next((t for t in self.found if t.origin == checkpoint.origin), None)
        if tree is None:
            self._report.incomplete(
                f"{checkpoint.origin} was signed with {checkpoint.size} leaves; the database has "
                "no such tree"
            )
            return None
        self._add(tree, checkpoint)
        return checkpoint

    def _add(self, tree: Head, checkpoint: Checkpoint) -> None:
        tree.heads.setdefault(checkpoint.size, []).append(checkpoint.root)
        self._report.checkpoints += 1

    def _open(self, note: str, what: str) -> Checkpoint | None:
        if not self._keys:
            return None
        try:
            return read_checkpoint(open_note(note, self._keys))
        except BadNote as error:
            self._report.tampered(f"{what}: {error}")
            return None

    def _begin_later(self, tree: Head, since: int, outside: Sequence[Checkpoint]) -> None:
        """Begin after the largest stored subtrees before `since`: the next signed head is compared
        with a root that they are part of."""
        edge = Edge(tree.edge.hasher)
        for level, index in _levels(since):
            root = tree.subtrees.get((level, index))
            if root is None:
                break
            edge.append(root, level)
        if (
            edge.size
            and any(size >= edge.size for size in tree.heads)
            and all((h.origin, h.size >= edge.size) == (tree.origin, True) for h in outside)
        ):
            tree.edge, tree.since = edge, edge.size


def _numbers(connection: Connection, table: str) -> Iterator[int]:
    """Of which trees a table has rows, without reading all of them."""
    found: int | None = BEFORE_ALL
    while found is not None:
        [[found]] = connection.execute(NEXT.format(table), [found]).fetchall()
        if found is not None:
            yield found


def _levels(size: int) -> Iterator[tuple[int, int]]:
    """The largest stored subtrees that cover the first leaves, as far as they go."""
    begin = 0
    for level in reversed(LEVELS):
        while begin + (1 << level) <= size:
            yield level, begin >> level
            begin += 1 << level
