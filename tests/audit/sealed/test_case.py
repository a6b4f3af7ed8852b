"""A case is handed over as one archive, each event proved by a program that is not ours."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tests.audit.sealed.conftest import Sealed
from tests.audit.sealed.test_bundle import export


def test_the_archive_of_a_case_verifies_and_holds_its_events_alone(
    sealed: Sealed, tmp_path: Path
) -> None:
    chosen = {str(pk) for (pk,) in sealed.ask("SELECT id FROM ledger_event ORDER BY id LIMIT 3")}
    case = sealed.manage("case", "open", "Somebody read what they should not").stdout.strip()
    sealed.manage("case", "add", case, *sorted(chosen))
    sealed.manage("case", "note", case, "Asked them on Monday.")
    found = export(sealed, tmp_path, "case.zip", "--case", case)
    code, told = found.check()
    assert code == 0, told
    with zipfile.ZipFile(found.bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        events = [json.loads(line) for line in archive.read("events.jsonl").splitlines()]
    assert (manifest["kind"], manifest["filter"]) == ("selection", {"case": case})
    assert {event["id"] for event in events} == chosen
    assert "Monday" not in told
