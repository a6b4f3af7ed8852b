"""`make up`: refuses with a sentence, survives kill -9 of any child, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.console_process import ROOT, Console
from tests.ports import free_port

CHILDREN = [
    "bin/postgres -D",
    "valkey-server",
    "ollama-lib serve",
    "uvicorn",
    "celery.*worker@",
    "celery.*operations@",
    "celery.*transfers@",
    "celery.*beat",
    "audit_seal",
]
ANY = "|".join(CHILDREN)


def up(**environment: str) -> subprocess.CompletedProcess[str]:
    console = Console(Path(environment["FUSEBOX_DATA"]))
    return subprocess.run(
        [sys.executable, "-m", "console.embedded"],
        cwd=ROOT,
        env={**console.environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_busy_port_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        done = up(FUSEBOX_DATA=str(tmp_path / "var"), FUSEBOX_PORT=str(port))
    assert done.returncode == 1
    assert f"Port {port}" in done.stdout
    assert "FUSEBOX_PORT" in done.stdout


def test_a_folder_that_cannot_be_written_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = up(FUSEBOX_DATA=str(tmp_path / "file" / "var"), FUSEBOX_PORT=str(free_port()))
    assert done.returncode == 1
    assert "cannot be written" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_port_that_is_no_number_is_refused_with_a_sentence(tmp_path: Path) -> None:
    done = up(FUSEBOX_DATA=str(tmp_path / "var"), FUSEBOX_PORT="eighty")
    assert done.returncode == 1
    assert "FUSEBOX_PORT is 'eighty'" in done.stdout


def test_a_second_one_on_the_same_folder_is_refused(console: Console) -> None:
    done = up(FUSEBOX_DATA=str(console.data), FUSEBOX_PORT=str(free_port()))
    assert done.returncode == 1
    assert "already runs" in done.stdout
    assert console.is_ready()


@pytest.mark.parametrize("child", CHILDREN)
def test_a_killed_child_comes_back_by_itself(console: Console, child: str) -> None:
    [victim, *_others] = console.children(child)
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = console.children(child)
        if found and victim not in found and answers(console):
            break
        time.sleep(0.2)
    else:
        raise AssertionError(console.said()[-1500:])
    assert "starting it again" in console.said()


def answers(console: Console) -> bool:
    try:
        return console.ask(max_tokens=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_web_may_not_sign_in_as_the_owner(console: Console) -> None:
    environ = Path(f"/proc/{console.children('uvicorn')[0]}/environ").read_bytes()
    assert b"fusebox_web" in environ
    rows = console.query("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
    assert rows == [("fusebox_web", False)]


def test_secrets_are_for_the_owner_of_the_folder_only(console: Console) -> None:
    files = [console.data / "first-run.json", *(console.data / "secrets").iterdir()]
    assert {oct(p.stat().st_mode & 0o777) for p in files} == {"0o600"}
    assert oct((console.data / "secrets").stat().st_mode & 0o777) == "0o700"


def test_manage_py_speaks_to_the_running_console(console: Console) -> None:
    done = console.manage(
        "shell", "-v0", "-c", "from access.models import User; print(User.objects.count())"
    )
    [(people,)] = console.query("SELECT count(*) FROM access_user")
    assert done.stdout.strip() == str(people), done.stderr


class TestStopAndStart:
    """On a console of its own: it is stopped, killed and started again."""

    def test_it_takes_up_where_it_left_off_and_leaves_nothing(self, tmp_path: Path) -> None:
        console = Console(tmp_path / "a folder with spaces" / "var")
        console.data.parent.mkdir()
        console.start()
        key = console.key
        assert console.stop() == 0
        assert console.children(ANY) == []

        done = console.manage(
            "shell", "-v0", "-c", "from access.models import Key; print(Key.objects.count())"
        )
        assert done.stdout.strip() == "1", done.stderr
        assert console.children(ANY) == []

        began = time.monotonic()
        console.start()
        assert time.monotonic() - began < 60
        assert console.key == key
        assert "Paris" in console.ask().text

        assert console.process is not None
        console.process.kill()
        console.process.wait()
        deadline = time.monotonic() + 20
        while console.children(ANY) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert console.children(ANY) == []

        console.start()
        assert "Paris" in console.ask().text
        assert console.stop() == 0
