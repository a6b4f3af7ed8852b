"""A real rsyslog that takes RFC 5424 over TLS, with certificates made for the occasion."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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


class Authority:
    """Signs certificates into a folder: NAME.pem and NAME.key."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = name
        self._write(name, self._key, name, ca=True)

    def issue(self, name: str, *, host: str = "") -> None:
        self._write(name, ec.generate_private_key(ec.SECP256R1()), host or name, host=host)

    def _write(
        self,
        file: str,
        key: ec.EllipticCurvePrivateKey,
        name: str,
        *,
        ca: bool = False,
        host: str = "",
    ) -> None:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host:
            names = [x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.1"))]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = made.sign(self._key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        (self.folder / f"{file}.pem").write_bytes(signed.public_bytes(pem))
        (self.folder / f"{file}.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )


class Receiver:
    """rsyslogd on a port of its own. What it took is in `received`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
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
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("rsyslogd did not begin to listen")

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


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
