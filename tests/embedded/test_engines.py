"""The engines and the data folder: two commands at once, a crash, a stranger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from console.embedded import spawn
from console.embedded.installation import MAX_SOCKET_FOLDER, Installation
from console.embedded.postgres import Postgres
from console.embedded.supervisor import Child, Supervisor
from tests.console_process import ROOT, Console

ENDLESS = "DO $$ BEGIN LOOP NULL; END LOOP; END $$"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"


class Stubborn:
    """A program that does not end when it is asked to."""

    name = "stubborn"
    stop_signal = signal.SIGTERM

    def __init__(self, log: Path) -> None:
        self.log = log

    def start(self) -> subprocess.Popen[bytes]:
        return spawn.start([sys.executable, "-c", STUBBORN], env=os.environ, log=self.log)

    def is_ready(self) -> bool:
        return True


@pytest.fixture
def short_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A TMPDIR of the test's own, short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="fbx-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


def test_postgres_starts_again_although_a_backend_of_the_killed_one_is_busy(
    tmp_path: Path,
) -> None:
    installation = Installation(tmp_path / "var")
    installation.create()
    postgres = Postgres(installation)
    child = postgres.start()
    try:
        assert spawn.wait_until(postgres.is_ready, child, 30)
        thread = threading.Thread(target=_ask, args=(postgres.admin_url, ENDLESS))
        thread.start()
        assert spawn.wait_until(lambda: _is_busy(postgres.admin_url), child, 10)
        child.kill()
        spawn.sweep(child)
        child = postgres.start()
        assert spawn.wait_until(postgres.is_ready, child, 20)
        thread.join(10)
    finally:
        spawn.stop(child, postgres.stop_signal, 10)


def _ask(url: str, query: str) -> None:
    with suppress(psycopg.OperationalError), psycopg.connect(url) as connection:
        connection.execute(query)  # type: ignore[arg-type]


def _is_busy(url: str) -> bool:
    with psycopg.connect(url) as connection:
        active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO%'"
        return connection.execute(active).fetchone() == (1,)


def test_a_second_signal_forces_the_programs_to_end(tmp_path: Path) -> None:
    supervisor = Supervisor(lambda text: None)
    log = tmp_path / "log"
    for _number in range(3):
        supervisor.start(Child(Stubborn(log), log, program=True))
    time.sleep(0.5)
    supervisor.signals = 1
    again = threading.Timer(0.5, lambda: setattr(supervisor, "signals", 2))
    again.start()
    began = time.monotonic()
    supervisor.stop_all()
    assert time.monotonic() - began < 3
    assert not any(child.runs() for child in supervisor.children)


def test_two_that_make_a_secret_at_once_get_the_same(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from console.embedded.installation import "
        "Installation; print(Installation(Path(sys.argv[1])).secret('one'))"
    )
    for number in range(5):
        both = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path / str(number))],
                cwd=ROOT,
                stdout=subprocess.PIPE,
            )
            for _each in range(3)
        ]
        assert len({process.communicate()[0] for process in both}) == 1


@pytest.mark.usefixtures("short_tmp")
def test_a_socket_folder_that_somebody_else_laid_there_is_refused(
    tmp_path: Path,
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can lay a folder for somebody else")
    installation = Installation(tmp_path / ("long" * MAX_SOCKET_FOLDER)[:200] / "var")
    installation.sockets.mkdir()
    os.chown(installation.sockets, 65534, 65534)
    with pytest.raises(PermissionError, match="somebody else"):
        installation.create()


@pytest.mark.usefixtures("short_tmp")
def test_a_long_path_has_its_sockets_elsewhere_whatever_tmpdir_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / ("long" * MAX_SOCKET_FOLDER)[:200] / "var"
    first = Installation(data)
    first.create()
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")
    assert Installation(data).sockets == first.sockets
    assert first.sockets.stat().st_mode & 0o777 == 0o700


def test_commands_share_the_database_that_the_first_of_them_started(tmp_path: Path) -> None:
    console = Console(tmp_path / "var")
    slow = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v0", "-c",
         "import sys; print('first', flush=True); sys.stdin.readline()"],
        cwd=ROOT, env=console.environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert slow.stdout is not None
    assert slow.stdout.readline() == b"first\n"
    done = console.manage(
        "shell", "-v0", "-c", "from access.models import User; print(User.objects.count())"
    )
    assert (done.stdout.strip(), done.returncode) == ("0", 0), done.stderr
    assert slow.poll() is None
    slow.communicate(b"\n", timeout=60)
    assert slow.returncode == 0
    assert console.children("bin/postgres") == []
