"""Names of a log and of its trees: `fusebox.example/audit` has the origins
`fusebox.example/audit/1` and, after a rollback that people acknowledged, `…/2`."""

from __future__ import annotations


def base_of(origin: str) -> str:
    """The name of the log: its first origin without the number."""
    head, slash, number = origin.rpartition("/")
    return head if slash and number.isdecimal() else origin


def origin_of(base: str, tree: int) -> str:
    return f"{base}/{tree}"
