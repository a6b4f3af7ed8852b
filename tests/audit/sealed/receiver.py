"""A real rsyslog that takes RFC 5424 over TLS, with certificates made for the occasion."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.certificates import Authority
from tests.ports import free_port, wait_for

CONFIG = """
global(workDirectory="{0}" maxMessageSize="64k" DefaultNetstreamDriver="gtls"
       DefaultNetstreamDriverCAFile="{0}/ca.pem" DefaultNetstreamDriverCertFile="{0}/server.pem"
       DefaultNetstreamDriverKeyFile="{0}/server.key")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1"
       StreamDriver.AuthMode="x509/certvalid")
input(type="imtcp" port="{1}" address="127.0.0.1")
template(name="raw" type="string" string="%rawmsg%\\n")
action(type="omfile" file="{0}/received.log" template="raw" asyncWriting="off" flushOnTXEnd="on")
"""
SEQ = re.compile(rb' seq="(\d+)"')


class Receiver:
    """rsyslogd on a port of its own. What it took is in `received`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        authority = Authority(folder)
        authority.issue("server", host="localhost")
        authority.issue("client")
        (folder / "rsyslog.conf").write_text(CONFIG.format(folder, self.port))
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def env(self) -> dict[str, str]:
        """What the forwarder is told."""
        return {
            "FUSEBOX_SYSLOG_URL": f"tls://localhost:{self.port}",
            "FUSEBOX_SYSLOG_CA": str(self.folder / "ca.pem"),
            "FUSEBOX_SYSLOG_CERT": str(self.folder / "client.pem"),
            "FUSEBOX_SYSLOG_KEY": str(self.folder / "client.key"),
        }

    def start(self) -> None:
        program = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
        assert Path(program).exists(), "rsyslog is not installed; `make receiver` says how"
        self._child = subprocess.Popen(
            [program, "-n", "-f", f"{self.folder}/rsyslog.conf", "-i", f"{self.folder}/pid"],
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.port)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._child is not None:
            self._child.send_signal(number)
            self._child.wait(20)
            self._child = None

    def hold(self, number: signal.Signals) -> None:
        """SIGSTOP: it accepts and never reads; SIGCONT: it goes on."""
        assert self._child is not None
        self._child.send_signal(number)

    def lines(self) -> list[bytes]:
        path = self.folder / "received.log"
        return path.read_bytes().splitlines() if path.exists() else []

    def positions(self) -> list[int]:
        return list(_positions(self.lines()))

    def wait_for(self, count: int) -> None:
        """Until so many different positions are there."""
        deadline = time.monotonic() + 30
        while len(set(self.positions())) < count:
            assert time.monotonic() < deadline, f"{len(set(self.positions()))} of {count}"
            time.sleep(0.1)


def _positions(lines: list[bytes]) -> Iterator[int]:
    for line in lines:
        if found := SEQ.search(line):
            yield int(found[1])
