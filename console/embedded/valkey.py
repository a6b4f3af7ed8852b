"""Valkey in the data folder, on a unix socket. It only wakes workers: nothing in it is kept."""

from __future__ import annotations

import os
import signal
import subprocess

import redis

from console.embedded import spawn, wheels
from console.embedded.installation import Installation


class Valkey:
    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.server = wheels.valkey_server()
        self.socket = installation.sockets / "valkey.sock"

    def start(self) -> subprocess.Popen[bytes]:
        self.socket.unlink(missing_ok=True)
        return spawn.start(
            [
                self.server, "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700",
                "--dir", self.installation.valkey, "--save", "", "--appendonly", "no",
                "--daemonize", "no",
            ],
            env=os.environ,
            log=self.installation.logs / "valkey.log",
        )  # fmt: skip

    def is_ready(self) -> bool:
        try:
            with redis.Redis(unix_socket_path=str(self.socket)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
