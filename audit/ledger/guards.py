"""Whether the database still guards the log: tables, keys, triggers, functions and rights are what
the migrations made, no more and no less. A guard that somebody took away, changed, or set another
beside is found at the next verification.

What migrations make is listed in `guards.txt`; a test makes that list of a database just migrated,
and says how to renew it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from audit.ledger import catalogue
from audit.ledger.catalogue import Connection, Facts

LIST = Path(__file__).with_name("guards.txt")
NO_TRUNCATE = "_no_truncate"
RIGHTS = "the rights of "
HASHED = ("the function ", "the view ")
FIRST = ("the table ", "the trigger ", "the function ", "")


@cache
def installed() -> Facts:
    """What the migrations make."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines)


def listed(facts: Facts) -> str:
    """The text of the list."""
    return "".join(f"{name}: {said}\n" for name, said in sorted(facts.items()))


def missing(connection: Connection, *, truncate: bool = True) -> list[str]:
    """What is not as it was installed, a sentence each; empty when all stands.

    truncate: whether the guards against TRUNCATE are looked for, too.
    """
    wanted = installed()
    tables = [name.removeprefix("the table ") for name in wanted if name.startswith("the table ")]
    absent = set(catalogue.ROLES) - catalogue.roles(connection)
    wanted = {
        name: said
        for name, said in wanted.items()
        if not name.startswith(tuple(f"{RIGHTS}{role} on " for role in absent))
        and (truncate or not name.endswith(NO_TRUNCATE))
    }
    found = catalogue.read(connection, tables)
    return [*_differences(wanted, found), *_others(connection, tables)]


def _differences(wanted: Facts, found: Facts) -> Iterator[str]:
    """What says most comes first: without its table, all of a table is missing."""
    differing = {n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n)}
    for name in sorted(differing, key=_place):
        if name.startswith(RIGHTS):
            yield from _rights(name, wanted.get(name, ""), found.get(name, ""))
        elif name not in found:
            yield f"{name} is missing"
        elif name not in wanted:
            if not name.endswith(NO_TRUNCATE):
                yield f"{name} was added"
        elif name.startswith(HASHED):
            yield f"{name} was changed"
        else:
            yield f"{name} was changed: {found[name]}; it was: {wanted[name]}"


def _rights(name: str, wanted: str, found: str) -> Iterator[str]:
    role, _on, thing = name.removeprefix(RIGHTS).partition(" on ")
    before, now = ({right for right in said.split("; ") if right} for said in (wanted, found))
    for right in sorted(now - before):
        yield f"{role} may {right} {thing}"
    for right in sorted(before - now):
        yield f"{role} may no more {right} {thing}"


def _place(name: str) -> tuple[int, str]:
    return next(i for i, kind in enumerate(FIRST) if name.startswith(kind)), name


def _others(connection: Connection, tables: list[str]) -> Iterator[str]:
    """Roles of another name may do what ours may, and no more."""
    granted = {
        (name.rpartition(" on ")[2], right.split(" ")[0])
        for name, said in installed().items()
        if name.startswith(RIGHTS)
        for right in said.split("; ")
    }
    for role, table, right in catalogue.others(connection, tables):
        if (table, right) not in granted:
            yield f"{role} may {right} {table}"
