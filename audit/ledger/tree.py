"""The Merkle tree of the log (RFC 6962 section 2.1): compact ranges, roots and audit paths.

Pure. Everything is built from one idea: a compact range holds the roots of the largest complete
subtrees of the leaves so far, at most one a level, and appending is the only thing it can do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

HASH_BYTES = 32


def _sm3(data: bytes) -> Any:
    return hashlib.new("sm3", data)


@dataclass(frozen=True, slots=True)
class Hasher:
    """The hash of a tree: SHA-256, or SM3 (GB/T 32905) in profile `gm`. 32 bytes each."""

    name: str
    new: Callable[[bytes], Any] = field(repr=False, compare=False)

    def leaf(self, data: bytes) -> bytes:
        value: bytes = self.new(b"\x00" + data).digest()
        return value

    def node(self, left: bytes, right: bytes) -> bytes:
        value: bytes = self.new(b"\x01" + left + right).digest()
        return value

    def empty(self) -> bytes:
        value: bytes = self.new(b"").digest()
        return value


SHA256, SM3 = Hasher("sha256", hashlib.sha256), Hasher("sm3", _sm3)
HASHERS = {hasher.name: hasher for hasher in (SHA256, SM3)}


@dataclass(slots=True)
class Edge:
    """The compact range of the first `size` leaves: its subtree roots, the largest first."""

    hasher: Hasher
    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError("a compact range has as many hashes as its size has one-bits")

    def append(self, value: bytes, level: int = 0) -> list[tuple[int, int, bytes]]:
        """Append a leaf hash, or the root of a complete subtree of 2**level leaves.

        Returns the subtrees that it completed: (level, index, root).
        """
        if self.size & ((1 << level) - 1):
            raise ValueError(f"a subtree of level {level} cannot begin at {self.size}")
        completed = []
        carry, above = self.size >> level, level
        while carry & 1:
            value = self.hasher.node(self.hashes.pop(), value)
            carry, above = carry >> 1, above + 1
            completed.append((above, carry, value))
        self.hashes.append(value)
        self.size += 1 << level
        return completed

    def root(self) -> bytes:
        if not self.hashes:
            return self.hasher.empty()
        value = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            value = self.hasher.node(left, value)
        return value

    def copy(self) -> Edge:
        return Edge(self.hasher, self.size, list(self.hashes))


def complete_root(hasher: Hasher, hashes: Sequence[bytes]) -> bytes:
    """The root of a complete subtree with these leaf hashes, a power of two of them."""
    new = hasher.new
    while len(hashes) > 1:
        pairs = iter(hashes)
        hashes = [
            new(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)
        ]
    return hashes[0]


def exchanged(hasher: Hasher, hashes: Sequence[bytes], root: bytes) -> tuple[int, int] | None:
    """Which two of these leaf hashes have to change places for a complete subtree to have this
    root; None when no two do."""
    levels = [list(hashes)]
    while len(below := levels[-1]) > 1:
        pairs = iter(below)
        levels.append([hasher.node(left, right) for left, right in zip(pairs, pairs, strict=True)])
    for one, other in combinations(range(len(hashes)), 2):
        changed = {one: hashes[other], other: hashes[one]}
        for level in levels[:-1]:
            changed = {
                at: hasher.node(
                    changed.get(2 * at, level[2 * at]), changed.get(2 * at + 1, level[2 * at + 1])
                )
                for at in {place >> 1 for place in changed}
            }
        if changed[0] == root:
            return one, other
    return None


def cover(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The largest complete subtrees that cover leaves [begin, end): (level, index), in order."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        yield level, begin >> level
        begin += 1 << level


Subtree = Callable[[int, int], bytes]
"""The root of the complete subtree (level, index)."""


def range_root(hasher: Hasher, begin: int, end: int, subtree: Subtree) -> bytes:
    """The root of the leaves [begin, end), where `begin` is where a subtree of that size begins."""
    parts = [subtree(level, index) for level, index in cover(begin, end)]
    value = parts[-1]
    for left in reversed(parts[:-1]):
        value = hasher.node(left, value)
    return value


def audit_path(hasher: Hasher, position: int, size: int, subtree: Subtree) -> list[bytes]:
    """The audit path of a leaf in the tree of `size` leaves (RFC 6962 2.1.1), leaf end first."""
    if not 0 <= position < size:
        raise ValueError(f"there is no leaf {position} in a tree of {size}")
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
        if position < middle:
            path.append(range_root(hasher, middle, end, subtree))
            end = middle
        else:
            path.append(range_root(hasher, begin, middle, subtree))
            begin = middle
    return path[::-1]


def root_of_path(
    hasher: Hasher, leaf: bytes, position: int, size: int, path: Iterable[bytes]
) -> bytes:
    """The root that a leaf hash and its audit path lead to. ValueError for a path that is none."""
    if not 0 <= position < size:
        raise ValueError(f"there is no leaf {position} in a tree of {size}")
    value, number, last = leaf, position, size - 1
    for sibling in path:
        if last == 0:
            raise ValueError("the path is too long")
        if number & 1 or number == last:
            value = hasher.node(sibling, value)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            value = hasher.node(value, sibling)
        number, last = number >> 1, last >> 1
    if last:
        raise ValueError("the path is too short")
    return value
