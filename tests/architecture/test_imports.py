"""The arrows between the rooms, held by import-linter; and the bans that only names can show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.architecture.source import ROOT


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_every_import_contract_is_kept() -> None:
    done = run("importlinter", "lint", "--no-cache")
    if "No module named" in done.stderr:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contracts_name_every_room_in_the_order_of_the_house() -> None:
    text = (ROOT / ".importlinter").read_text()
    rooms = ["console", "gateway", "deployments", "audit.office", "access", "audit.ledger"]
    block = text.split("layers =")[1].split("[")[0].split()
    assert block == rooms


def test_ruff_refuses_a_second_way_to_ollama_and_a_signal(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("import httpx\nfrom django.db.models.signals import post_save\n")
    done = run(
        "ruff",
        "check",
        "--config",
        str(ROOT / "pyproject.toml"),
        "--select",
        "TID251",
        "--output-format",
        "concise",
        str(planted),
    )
    assert done.stdout.count("TID251") == 2, done.stdout + done.stderr
