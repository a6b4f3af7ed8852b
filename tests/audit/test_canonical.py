"""The canonical bytes are RFC 8785's, held against an encoder that is not ours."""

from __future__ import annotations

import hmac
import json
import unicodedata
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.ledger.canonical import (
    MAX_LEAF_BYTES,
    MAX_SAFE_INTEGER,
    Committer,
    NotCanonical,
    canonical,
    clean_text,
    commitment,
    leaf_hash,
)

KEYS = st.text(st.characters(max_codepoint=127), max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_our_bytes_are_those_of_an_independent_encoder(value: dict[str, Any]) -> None:
    data = canonical(value)
    assert data == rfc8785.dumps(value)
    assert json.loads(data) == value
    assert not any(byte < 0x20 for byte in data), "a leaf is one line"


@given(st.text())
def test_clean_text_has_a_canonical_form_and_stays_as_it_is(text: str) -> None:
    clean = clean_text(text, 100)
    assert len(clean) <= 100
    assert unicodedata.is_normalized("NFC", clean)
    canonical({"text": clean})
    assert clean_text(clean, 100) == clean


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        2**53,
        -(2**53),
        b"x",
        {1: 2},
        {"é": 1},
        {1, 2},
        pytest.param(object(), id="object"),
    ],
    ids=repr,
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(NotCanonical):
        canonical({"value": value})
    with pytest.raises(NotCanonical):
        canonical({"deep": [{"er": value}]})


def test_an_event_has_a_greatest_size() -> None:
    canonical({"a": "x" * (MAX_LEAF_BYTES - 8)})
    with pytest.raises(NotCanonical):
        canonical({"a": "x" * (MAX_LEAF_BYTES - 7)})


def test_a_leaf_is_hashed_as_in_rfc_6962() -> None:
    empty = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"").hex() == empty


@given(st.binary(max_size=100), st.text(max_size=9), st.text(max_size=200))
def test_a_commitment_is_the_hmac_of_rfc_2104(key: bytes, field: str, value: str) -> None:
    field, value = clean_text(field), clean_text(value)
    message = field.encode() + b"\x00" + value.encode()
    assert commitment(key, field, value) == hmac.digest(key, message, "sha256").hex()
    assert Committer(key).commit(field, value) == commitment(key, field, value)
