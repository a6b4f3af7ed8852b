"""Keys, grants and routes in memory, refreshed when the database says that they changed.

A notification brings a change within milliseconds; a poll of a counter each second finds what a
lost notification would have hidden, so a revoked key stops working within a second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from audit.ledger.actor import Actor, ActorKind, Origin
from deployments.connection import PLAIN, Access, Unsealable, unseal
from deployments.recipes import DEFAULT_NUM_CTX
from gateway.capture import Rule

logger = logging.getLogger(__name__)

CHANNEL = "fusebox_directory"
POLL_S = 0.5
# nextval is visible before its transaction commits, so a bump is followed by some more looks.
SETTLE_S = 5.0
FULL_EVERY_S = 30.0
STALE_S = 5.0
REPORT_S = 2.0
# Through its OpenAI form Ollama puts 1.0 in the place of these, not what the model was made with.
SAMPLING = ("temperature", "top_p")


@dataclass(frozen=True, slots=True)
class KeyEntry:
    id: str
    owner_id: str
    username: str
    kind: str
    role: str
    active: bool
    expires_at: datetime | None
    revoked: bool

    def refusal(self) -> str:
        """Why this key does not serve now, as a reason code; empty when it does."""
        if self.revoked:
            return "key_revoked"
        if self.expires_at is not None and self.expires_at <= datetime.now(UTC):
            return "key_expired"
        return "" if self.active else "account_disabled"

    def actor(self, origin: Origin) -> Actor:
        kind = ActorKind.SERVICE if self.kind == "service" else ActorKind.USER
        return Actor(kind, self.owner_id, self.username, self.role, self.id, origin)


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A node. `up`: it answered when it was asked last."""

    id: str
    name: str
    url: str
    up: bool = True
    access: Access = PLAIN


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A ready replica: one revision on one node. `schema`: the shape its answers must have;
    `sampling`: the revision's own, for requests that say nothing of it; `context`: how many tokens
    a question and its answer may have together."""

    id: str
    node: NodeRef
    tag: str
    revision: int
    model: str
    digest: str
    schema: dict[str, Any] | None = None
    sampling: dict[str, float] = field(default_factory=dict)
    context: int = DEFAULT_NUM_CTX


@dataclass(frozen=True, slots=True)
class Route:
    """A deployment as requests see it. Without a ready replica it is not in service."""

    deployment_id: UUID
    name: str
    state: str
    live_at: datetime | None
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    keys: Mapping[bytes, KeyEntry] = field(default_factory=dict)
    grants: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)
    capture: Mapping[UUID, Rule] = field(default_factory=dict)


class Directory:
    """Start it in the event loop that serves; read `now` at every request."""

    def __init__(self, conninfo: str, under_way: Callable[[], dict[str, int]] = dict) -> None:
        self._conninfo = conninfo
        self._under_way = under_way
        self._id = uuid4()
        self._read_at: datetime | None = None
        self._reported: tuple[object, ...] = ()
        self._reported_at = float("-inf")
        self.now = Snapshot()
        self._version = -1
        self._reload_until = 0.0
        self._loaded_at = float("-inf")
        self._confirmed_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    @property
    def fresh(self) -> bool:
        """Whether the database has confirmed what is in memory within the last seconds."""
        return time.monotonic() - self._confirmed_at < STALE_S

    def may_use(self, user_id: str, deployment_id: UUID) -> bool:
        return deployment_id in self.now.grants.get(user_id, frozenset())

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="directory")
        for _wait in range(60):
            if self.fresh:
                return
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with suppress(psycopg.Error, OSError):
            async with await psycopg.AsyncConnection.connect(
                self._conninfo, autocommit=True, connect_timeout=3
            ) as connection:
                await connection.execute(_FORGET, [self._id])

    async def _run(self) -> None:
        delay = 0.1
        while True:
            loaded = self._loaded_at
            try:
                await self._follow()
            except (psycopg.Error, OSError) as error:
                logger.warning("the directory is not refreshed: %s", error)
            # It answered meanwhile: this is a new interruption, not the last one going on.
            delay = 0.1 if self._loaded_at > loaded else min(delay * 2, 1.0)
            await asyncio.sleep(delay)

    async def _follow(self) -> None:
        """One connection: listen, and look at the counter when nothing is heard."""
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=3, application_name="fusebox-directory"
        )
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            await self._load(connection)
            while True:
                heard = False
                async for _notice in connection.notifies(timeout=POLL_S, stop_after=1):
                    heard = True
                await self._look(connection, heard)

    async def _look(
        self, connection: psycopg.AsyncConnection[tuple[object, ...]], heard: bool
    ) -> None:
        cursor = await connection.execute("SELECT last_value FROM gateway_directory_version")
        row = await cursor.fetchone()
        version = int(str(row[0])) if row else 0
        now = time.monotonic()
        if version != self._version:
            self._version, self._reload_until = version, now + SETTLE_S
        if heard or now < self._reload_until or now - self._loaded_at > FULL_EVERY_S:
            await self._load(connection)
        await self._report(connection)
        self._confirmed_at = time.monotonic()

    async def _report(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        """Say what is under way and as of when the routes are known: a drain waits for it.

        Before `fresh` is confirmed, so that a gateway that admits requests has also reported.
        """
        said, now = (self._read_at, self._under_way()), time.monotonic()
        if said == self._reported and now - self._reported_at < REPORT_S:
            return
        await connection.execute(_REPORT, [self._id, said[0], Jsonb(said[1])])
        self._reported, self._reported_at = said, now

    async def _load(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        # Before the snapshot: what was committed until then is surely in it.
        row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
        async with connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            keys = await (await connection.execute(_KEYS)).fetchall()
            grants = await (await connection.execute(_GRANTS)).fetchall()
            routes = await (await connection.execute(_ROUTES)).fetchall()
            rules = await (await connection.execute(_CAPTURE)).fetchall()
        self.now = Snapshot(_keys(keys), _grants(grants), _routes(routes), _rules(rules))
        if row and isinstance(row[0], datetime):
            self._read_at = row[0]
        await self._report(connection)
        self._loaded_at = self._confirmed_at = time.monotonic()


_KEYS = """
SELECT k.sha256, k.id, u.id, u.username, u.kind, u.role, u.is_active, k.expires_at,
       k.revoked_at IS NOT NULL
FROM access_key k JOIN access_user u ON u.id = k.owner_id
"""
_GRANTS = """
SELECT coalesce(g.user_id, m.user_id), g.deployment_id
FROM access_grant g LEFT JOIN access_membership m ON m.team_id = g.team_id
WHERE coalesce(g.user_id, m.user_id) IS NOT NULL
"""
_ROUTES = """
SELECT d.id, d.name, d.state, d.live_at, p.id, r.number, m.name, m.digest, r.schema,
       r.parameters, m.context_length,
       n.id, n.name, n.url, n.status, n.sealed, n.ca, n.client_certificate
FROM deployments_deployment d
LEFT JOIN (
    deployments_replica p
    JOIN deployments_revision r ON r.id = p.revision_id
    JOIN deployments_model m ON m.id = r.model_id
    JOIN deployments_node n ON n.id = p.node_id
) ON r.deployment_id = d.id AND p.state = 'ready' AND d.wanted = 'on'
WHERE d.state <> 'deleted'
ORDER BY d.name, n.name
"""
_CAPTURE = """
SELECT deployment_id, id, prompt, answer, percent, days FROM office_capturepolicy
WHERE ended_at IS NULL
"""
_REPORT = """
INSERT INTO deployments_gatewayreport (id, seen_at, loaded_at, in_flight)
VALUES (%s, clock_timestamp(), %s, %s)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, loaded_at = excluded.loaded_at,
    in_flight = excluded.in_flight
"""
_FORGET = "DELETE FROM deployments_gatewayreport WHERE id = %s"


def _keys(rows: list[tuple[Any, ...]]) -> dict[bytes, KeyEntry]:
    found: dict[bytes, KeyEntry] = {}
    for sha256, key, owner, username, kind, role, active, expires, revoked in rows:
        found[bytes(sha256)] = KeyEntry(
            str(key), str(owner), str(username), str(kind), str(role), bool(active),
            expires if isinstance(expires, datetime) else None, bool(revoked),
        )  # fmt: skip
    return found


def _grants(rows: list[tuple[object, ...]]) -> dict[str, frozenset[UUID]]:
    found: dict[str, set[UUID]] = {}
    for user, deployment in rows:
        found.setdefault(str(user), set()).add(UUID(str(deployment)))
    return {user: frozenset(ids) for user, ids in found.items()}


def _rules(rows: list[tuple[Any, ...]]) -> dict[UUID, Rule]:
    return {row[0]: Rule(*row) for row in rows}


def _routes(rows: list[tuple[Any, ...]]) -> dict[str, Route]:
    found: dict[str, Route] = {}
    for deployment, name, state, live_at, *replica in rows:
        known = found.get(name)
        endpoints = known.endpoints if known else ()
        if endpoint := _endpoint(name, replica):
            endpoints = (*endpoints, endpoint)
        found[name] = Route(UUID(str(deployment)), name, state, live_at, endpoints)
    return found


def _endpoint(deployment: str, replica: list[Any]) -> Endpoint | None:
    pk, number, model, digest, schema, parameters, trained, *reached = replica
    node, name, url, status, sealed, ca, certificate = reached
    if pk is None:
        return None
    try:
        access = unseal(sealed, ca, certificate)
    except Unsealable as error:
        logger.warning("node %s: %s", name, error)
        return None
    return Endpoint(
        str(pk),
        NodeRef(str(node), name, url.rstrip("/"), status != "unreachable", access),
        f"fusebox/{deployment}:r{number}",
        number,
        model,
        digest,
        schema,
        {name: parameters[name] for name in SAMPLING if name in parameters},
        _context(parameters, trained),
    )


def _context(parameters: dict[str, Any], trained: int | None) -> int:
    """As much as the revision asks for; a node never gives more than the model was made for."""
    asked = int(parameters.get("num_ctx", DEFAULT_NUM_CTX))
    return min(asked, trained) if trained else asked
