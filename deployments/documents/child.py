"""The program that opens a document: a process of its own, with limits, because files are hostile.

    python -m deployments.documents.child '{"name": …, "limits": {…}}' < file > JSON

It gets no environment and no secrets, imports nothing of Django, opens no file but its input, and
answers with what it found or with the code of a problem. Whatever it does, its parent goes on.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

from deployments.documents.found import Found, Problem
from deployments.documents.kinds import kind_of


def limit(memory_bytes: int, cpu_s: int) -> None:
    """No more than this from here on; no files written, no processes started, no core dumps."""
    for which, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(which, (most, most))


def find(name: str, data: bytes, limits: dict[str, int]) -> Found:
    """What is in the file. Raises Problem."""
    if not data:
        raise Problem("empty")
    kind = kind_of(name, data)
    if kind == "pdf":
        from deployments.documents import pdf

        return pdf.read(data, limits)
    if kind == "docx":
        from deployments.documents import word

        return word.read(data, limits)
    from deployments.documents import plain

    return plain.read(kind, data, limits)


def answer(name: str, data: bytes, limits: dict[str, int]) -> dict[str, Any]:
    try:
        found = find(name, data, limits)
        if not any(not letter.isspace() for letter in found.text):
            raise Problem("no_text")
        if len(found.text) > limits["characters"]:
            raise Problem("too_long", have=len(found.text))
        return found.as_json()
    except Problem as problem:
        return {"problem": problem.code, "facts": problem.facts}
    except MemoryError:
        return {"problem": "memory"}
    except RecursionError:
        return {"problem": "unreadable"}


def main() -> None:
    asked = json.loads(sys.argv[1])
    limits = asked["limits"]
    limit(limits["memory_bytes"], limits["seconds"])
    try:
        found = answer(asked["name"], sys.stdin.buffer.read(), limits)
    except Exception as error:
        found = {"problem": "unreadable", "facts": {"error": type(error).__name__}}
    except MemoryError:
        found = {"problem": "memory"}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
