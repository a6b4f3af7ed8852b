"""UUIDv7 (RFC 9562): event ids that sort by the time they were made."""

from __future__ import annotations

import os
import threading
import time
import uuid

_lock = threading.Lock()
_last_ms = 0
_counter = 0


def uuid7() -> uuid.UUID:
    """See `stamp`."""
    return stamp()[0]


def stamp() -> tuple[uuid.UUID, int]:
    """A UUIDv7 and the moment that it was made at, in nanoseconds since 1970: of one reading of the
    clock, so that looking for ids between two moments misses none.

    The ids are strictly increasing within this process (RFC 9562 section 6.2, method 1).

    12 bits after the millisecond are a counter; when the clock steps back or the counter is
    spent, the last millisecond is carried on, so order never runs backwards.
    """
    global _last_ms, _counter
    with _lock:
        now = time.time_ns()
        now_ms = now // 1_000_000
        if now_ms > _last_ms:
            _last_ms, _counter = now_ms, int.from_bytes(os.urandom(2)) & 0x3FF
        else:
            _counter += 1
            if _counter > 0xFFF:
                _last_ms, _counter = _last_ms + 1, 0
        ms, count = _last_ms, _counter
    tail = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    return uuid.UUID(int=(ms << 80) | (0x7 << 76) | (count << 64) | (0b10 << 62) | tail), now
