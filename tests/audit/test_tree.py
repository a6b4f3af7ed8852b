"""The tree against published and shared vectors; the verifier's own tree beside it."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.ledger.tree import HASHERS, SHA256, Edge, Hasher, audit_path, cover, root_of_path
from audit.office.verifier import verify
from tests.architecture.source import ROOT

VECTORS = json.loads((ROOT / "tests/audit/vectors/tree.json").read_text())
TREES = pytest.mark.parametrize(
    "tree", VECTORS["trees"], ids=lambda tree: f"{tree['hash']}-{tree['size']}"
)


def leaves_of(hasher: Hasher, size: int) -> list[bytes]:
    return [hasher.leaf(b"leaf %d" % number) for number in range(size)]


def grown(hasher: Hasher, leaves: list[bytes]) -> Edge:
    edge = Edge(hasher)
    for leaf in leaves:
        edge.append(leaf)
    return edge


def naive(hasher: Hasher, leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word by word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hasher.empty()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hasher.node(naive(hasher, leaves[:split]), naive(hasher, leaves[split:]))


@pytest.mark.parametrize("size", ["1", "2", "3", "8"])
def test_the_published_roots(size: str) -> None:
    data = [bytes.fromhex(text) for text in VECTORS["ct"]["leaves"]]
    edge = grown(SHA256, [SHA256.leaf(leaf) for leaf in data[: int(size)]])
    assert edge.root().hex() == VECTORS["ct"]["roots"][size]


@TREES
def test_roots_ranges_and_paths_are_the_shared_ones(tree: dict[str, Any]) -> None:
    hasher, size = HASHERS[tree["hash"]], tree["size"]
    leaves = leaves_of(hasher, size)
    edge = grown(hasher, leaves)
    assert edge.root().hex() == tree["root"] == naive(hasher, leaves).hex()
    assert [value.hex() for value in edge.hashes] == tree["range"]

    def subtree(level: int, index: int) -> bytes:
        return naive(hasher, leaves[index << level : (index + 1) << level])

    for proof in tree["paths"]:
        path = audit_path(hasher, proof["position"], size, subtree)
        assert [value.hex() for value in path] == proof["path"]
        found = root_of_path(hasher, leaves[proof["position"]], proof["position"], size, path)
        assert found.hex() == tree["root"]


@TREES
def test_the_verifiers_tree_is_the_same(tree: dict[str, Any]) -> None:
    hasher: Any = verify.Hasher(tree["hash"])  # type: ignore[no-untyped-call]
    edge: Any = verify.Edge(hasher)  # type: ignore[no-untyped-call]
    leaves = [hasher.leaf(b"leaf %d" % number) for number in range(tree["size"])]
    for leaf in leaves:
        edge.append(leaf)
    assert edge.root().hex() == tree["root"]
    for proof in tree["paths"]:
        at, path = proof["position"], [bytes.fromhex(text) for text in proof["path"]]
        root = verify.root_of_path(hasher, leaves[at], at, tree["size"], path)  # type: ignore[no-untyped-call]
        assert root.hex() == tree["root"]


def test_the_verifiers_own_sm3_is_the_standards() -> None:
    said = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert verify.sm3(b"abc").hex() == said  # type: ignore[no-untyped-call]
    assert HASHERS["sm3"].new(b"abc").hexdigest() == said


def test_a_path_fits_one_place_only() -> None:
    size = 21
    leaves = leaves_of(SHA256, size)
    root = naive(SHA256, leaves)

    def subtree(level: int, index: int) -> bytes:
        return naive(SHA256, leaves[index << level : (index + 1) << level])

    for position, other in product(range(size), repeat=2):
        path = audit_path(SHA256, position, size, subtree)
        try:
            found = root_of_path(SHA256, leaves[position], other, size, path)
        except ValueError:
            continue
        assert (found == root) == (position == other)


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=100, deadline=None)
def test_two_parts_make_the_whole(first: int, more: int) -> None:
    """A compact range of the beginning, extended by the subtrees that cover the rest."""
    leaves = leaves_of(SHA256, first + more)
    edge = grown(SHA256, leaves[:first])
    for level, index in cover(first, first + more):
        edge.append(naive(SHA256, leaves[index << level : (index + 1) << level]), level)
    assert edge.root() == naive(SHA256, leaves)


def test_a_subtree_stands_only_where_it_can() -> None:
    edge = grown(SHA256, leaves_of(SHA256, 3))
    with pytest.raises(ValueError, match="cannot begin"):
        edge.append(b"x" * 32, 1)
    with pytest.raises(ValueError, match="one-bits"):
        Edge(SHA256, 3, [b"x" * 32])
