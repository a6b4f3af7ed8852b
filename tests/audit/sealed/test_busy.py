"""The log while it is being written: an export is one state, nothing is lost or doubled."""

from __future__ import annotations

import json
import shutil
import threading
import zipfile
from pathlib import Path

from audit.ledger.report import FINE
from tests.audit.sealed.conftest import EVENTS, Sealed
from tests.audit.sealed.test_bundle import export
from tests.audit.sealed.test_sealer import count, load, process, until

WRITERS, EACH = 64, 50
WRITE = """
import threading
from django.db import connection
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
def work():
    for _ in range({each}):
        log.record_alone(Actor.system("load"), Act.AUTHZ_DENIED, outcome="denied")
    connection.close()
threads = [threading.Thread(target=work) for _ in range({writers})]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_archives_made_while_events_keep_coming_verify(sealed: Sealed, tmp_path: Path) -> None:
    sizes = []
    with process(sealed), load(sealed):
        for number in range(3):
            made = export(sealed, tmp_path, f"{number}.zip")
            code, said = made.check()
            assert code == FINE, said
            with zipfile.ZipFile(made.bundle) as archive:
                manifest = json.loads(archive.read("manifest.json"))
            assert manifest["events"] == manifest["size"] > EVENTS
            sizes.append(manifest["size"])
        assert count(sealed, "event") > sizes[-1]
    assert sizes == sorted(set(sizes))


def test_of_many_writers_at_once_every_event_is_sealed_once(sealed: Sealed) -> None:
    with process(sealed):
        done = sealed.manage(
            "shell", "--no-imports", "-c", WRITE.format(each=EACH, writers=WRITERS)
        )
        assert done.returncode == 0, done.stderr
        assert count(sealed, "event") - EVENTS >= WRITERS * EACH
        until("NOT EXISTS (SELECT FROM ledger_pending)", sealed, 60)
    sealed.seal()
    assert count(sealed, "leaf") == count(sealed, "event")
    assert sealed.ask("SELECT count(DISTINCT event_id) = count(*) FROM ledger_leaf") == [(True,)]
    report = sealed.verify(own_head=True)
    assert report.exit_code == FINE, report.lines()


def test_a_change_of_key_in_the_middle_of_exports_verifies_with_the_first_certificate(
    sealed: Sealed, tmp_path: Path
) -> None:
    """An archive is signed by the key from before or after; who trusts the first trusts both."""
    trusted = tmp_path / "first.txt"
    shutil.copyfile(sealed.custody.certificate, trusted)
    made = [export(sealed, tmp_path, "before.zip")]
    change = threading.Thread(target=sealed.change_key)
    change.start()
    made += [export(sealed, tmp_path, f"{number}.zip") for number in range(3)]
    change.join()
    made.append(export(sealed, tmp_path, "after.zip"))
    for each in made:
        each.certificate = trusted
        code, said = each.check()
        assert code == FINE, said
    assert count(sealed, "signingkey") == 2
