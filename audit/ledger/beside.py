"""What stands beside the bytes of events, compared with them: columns, numbers, personal values.

Each event by itself, so that a long log is shared out among processes: `python -m
audit.ledger.beside` does one share. It reads JSON (`Share`) and writes a line of JSON whenever it
has come further: {"done": events, "problems": [[id, sentence]], "found": how many in all}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from audit.ledger.canonical import MAX_LEAF_BYTES
from audit.ledger.checked_event import columns_of, problem_of
from audit.ledger.report import MOST
from audit.ledger.snapshot import Connection, Rows, copied, snapshot

TELL = 2000
# Personal values that take more room than this are not an event's, and are not read.
MAX_STORED_BYTES = 1 << 20
# A process of its own takes half a second to begin.
ALONE = 20_000
PROCESSES = 8
ROOT = Path(__file__).resolve().parents[2]
EVENTS = """
COPY (SELECT e.id, CASE WHEN length(e.leaf) <= {longest} THEN e.leaf ELSE '' END,
          coalesce(e.leaf_hash, ''), e.boot, e.wseq, {columns}, p.key,
          CASE WHEN pg_column_size(p."values") <= {most} THEN p."values"::text END, p.ip, {rest}
      FROM ledger_event e LEFT JOIN ledger_personal p ON p.event_id = e.id
      WHERE e.id >= '{first}' {before_end} ORDER BY e.id) TO STDOUT (FORMAT binary)
"""
LAST_ERASURE = (
    "(SELECT x.rest FROM ledger_erased x WHERE x.event_id = e.id ORDER BY x.id DESC LIMIT 1)"
)
TYPES = ["bytea", "bytea", "bytea", "bytea", "int8", "text", "bytea", "text", "text", "text"]


@dataclass(frozen=True, slots=True)
class Share:
    """Events from the id `first` up to `end` (empty: to the last), as a named snapshot has them."""

    conninfo: str
    snapshot: str
    first: str
    end: str


@dataclass(slots=True)
class Found:
    """What is wrong: the first MOST events with a sentence each, and how many there are."""

    done: int = 0
    found: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)

    def add(self, event_id: UUID, problem: str) -> None:
        self.found += 1
        if len(self.problems) < MOST:
            self.problems.append((str(event_id), problem))


class Unfinished(RuntimeError):
    """A process that compared events ended before it was done."""


def compare(share: Share) -> Generator[Found, None, None]:
    """Compare a share, telling now and then how far it is; the last word is complete."""
    found = Found()
    with (
        snapshot(share.conninfo, share.snapshot) as connection,
        closing(_rows(connection, share)) as rows,
    ):
        for row in rows:
            if problem := problem_of(row):
                found.add(UUID(bytes=row[0]), problem)
            found.done += 1
            if not found.done % TELL:
                yield found
    yield found


def _rows(connection: Connection, share: Share) -> Rows:
    erased = connection.execute("SELECT 1 FROM ledger_erased LIMIT 1").fetchone()
    query = EVENTS.format(
        columns=columns_of(), rest=LAST_ERASURE if erased else "NULL::text",
        first=UUID(share.first), longest=MAX_LEAF_BYTES, most=MAX_STORED_BYTES,
        before_end=f"AND e.id < '{UUID(share.end)}'" if share.end else "",
    )  # fmt: skip
    return copied(connection, query, TYPES)


class Comparison:
    """All shares, in processes of their own where that pays. `stop` ends them."""

    def __init__(self, conninfo: str, name: str, bounds: Sequence[str], events: int) -> None:
        self._shares = [Share(conninfo, name, first, end) for first, end in pairwise(bounds)]
        self._found = [Found() for _share in self._shares]
        self._children: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        if events >= ALONE:
            for number, share in enumerate(self._shares):
                self._begin(number, share)

    @property
    def done(self) -> int:
        return sum(found.done for found in self._found)

    def finish(self, progress: Callable[[], None]) -> Found:
        """What all have found, in the order of ids. Raises Unfinished; what `progress` raises."""
        if not self._children:
            for number, share in enumerate(self._shares):
                with closing(compare(share)) as all_found:
                    for found in all_found:
                        self._found[number] = found
                        progress()
        for reader in self._readers:
            while reader.is_alive():
                reader.join(0.2)
                progress()
        for child in self._children:
            if child.wait() != 0:
                raise Unfinished(f"a comparison ended with {child.returncode}")
        whole = Found(self.done, sum(found.found for found in self._found))
        whole.problems = [each for found in self._found for each in found.problems][:MOST]
        return whole

    def stop(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()
        for reader in self._readers:
            reader.join()

    def _begin(self, number: int, share: Share) -> None:
        child = subprocess.Popen(
            [sys.executable, "-m", "audit.ledger.beside"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        if child.stdin is not None:
            # The address of the database has its password: nobody else may read it.
            child.stdin.write(json.dumps(asdict(share)))
            child.stdin.close()
        reader = threading.Thread(target=self._read, args=(number, child), daemon=True)
        reader.start()
        self._children.append(child)
        self._readers.append(reader)

    def _read(self, number: int, child: subprocess.Popen[str]) -> None:
        if child.stdout is None:
            return
        with child.stdout as lines:
            for line in lines:
                told: dict[str, Any] = json.loads(line)
                problems = [(event_id, problem) for event_id, problem in told["problems"]]
                self._found[number] = Found(told["done"], told["found"], problems)


def shares(events: int) -> int:
    """Among how many processes so many events are shared out."""
    return min(os.cpu_count() or 1, PROCESSES) if events >= ALONE else 1


def main() -> int:
    share = Share(**json.loads(sys.stdin.read()))
    try:
        for found in compare(share):
            sys.stdout.write(json.dumps(asdict(found)) + "\n")
            sys.stdout.flush()
    except psycopg.Error as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
