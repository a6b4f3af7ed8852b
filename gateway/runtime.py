"""What one process of the gateway holds: directory, log writer, connections to the nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import aiohttp
from django.conf import settings

from audit.ledger.connection import conninfo
from audit.ledger.group_commit import GroupCommit
from gateway.capture import Capture
from gateway.directory import Directory, Endpoint, Route
from gateway.load import Load

MAX_IN_FLIGHT = 256
DRAIN_S = 30.0


class Runtime:
    """Started and stopped with the server's lifespan, in the event loop that serves."""

    def __init__(self) -> None:
        address = conninfo()
        self.load = Load()
        self.directory = Directory(address, self.load.report)
        self.log = GroupCommit(address, log=settings.FUSEBOX_LOG_ORIGIN)
        self.capture = Capture(address, settings.CONTENT_KEYS, settings.CONTENT_CIPHER)
        self.stopping = False
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the gateway is not started")
        return self._session

    @property
    def requests(self) -> int:
        return self.load.total

    @property
    def ready(self) -> bool:
        return self.log.healthy and self.directory.fresh and not self.stopping

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=3, sock_read=settings.GATEWAY_READ_TIMEOUT_S
            ),
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30),
            auto_decompress=False,
            trust_env=False,
        )
        await asyncio.gather(self.directory.start(), self.log.start())

    async def stop(self) -> None:
        """Admit nothing more, let what is under way end, store every event."""
        self.stopping = True
        deadline = asyncio.get_running_loop().time() + DRAIN_S
        while self.requests and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        await self.directory.stop()
        await self.capture.stop()
        await self.log.stop()
        if self._session is not None:
            await self._session.close()

    def pick(self, route: Route, tried: Collection[str] = frozenset()) -> Endpoint | None:
        """A ready replica, by the newest routes: a rollout may have moved them meanwhile."""
        newest = self.directory.now.routes.get(route.name, route)
        return self.load.pick(newest.endpoints, tried)


_current: Runtime | None = None


def current() -> Runtime:
    """The runtime of this process; RuntimeError outside a server."""
    if _current is None:
        raise RuntimeError("the gateway is not started in this process")
    return _current


async def start() -> None:
    global _current
    _current = Runtime()
    await _current.start()


async def stop() -> None:
    global _current
    if _current is not None:
        await _current.stop()
        _current = None
