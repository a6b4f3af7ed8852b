"""Server-sent events of a node, whatever pieces they come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import openai

STREAM = b'data: {"a": "\xe4\xbd\xa0"}\n\ndata: {"b": 1}\n\n: a remark\n\ndata: [DONE]\n\n'
WHOLE = [event + b"\n\n" for event in STREAM.split(b"\n\n")[:-1]]


async def pieces(data: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    begin = 0
    for end in [*sorted(cuts), len(data)]:
        yield data[begin:end]
        begin = end


def read(data: bytes, cuts: list[int]) -> list[list[bytes]]:
    async def all_of() -> list[list[bytes]]:
        return [came async for came in openai.events(pieces(data, cuts))]

    return asyncio.run(all_of())


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_are_whole_wherever_a_piece_ends(cuts: list[int]) -> None:
    assert [event for came in read(STREAM, cuts) for event in came] == WHOLE


def test_what_came_together_is_given_together() -> None:
    second = len(WHOLE[0]) + len(WHOLE[1])
    assert read(STREAM, [second]) == [WHOLE[:2], WHOLE[2:]]


def test_an_event_that_was_cut_off_is_given_all_the_same() -> None:
    assert read(b"data: 1\n\ndata: 2", []) == [[b"data: 1\n\n"], [b"data: 2\n\n"]]


def test_an_event_without_an_end_is_given_up() -> None:
    with pytest.raises(ValueError, match="too long"):
        read(b"data: " + b"x" * openai.MAX_EVENT_BYTES, [10])
