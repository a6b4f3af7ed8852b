"""A sealed log in a database of its own, with the real roles, copied for each test of harm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
from django.db import connection
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pytest_django import Settings

from access import actions as access
from access import policy
from access.models import Proposal, User
from audit.ledger import rows, sealer
from audit.ledger.actor import Actor
from audit.ledger.canonical import canonical
from audit.ledger.certificate import read_certificate
from audit.ledger.check import Verification
from audit.ledger.custody import Custody
from audit.ledger.event import Draft, build
from audit.ledger.log_names import origin_of
from audit.ledger.note import Checkpoint
from audit.ledger.report import Report
from audit.ledger.sealing import LEVELS, Log
from audit.ledger.tree import SHA256, Edge
from audit.office import actions
from console import database
from console.embedded.installation import Installation
from tests.architecture.source import ROOT
from tests.audit.conftest import manage

EVENTS = 600
LOG = Log("fusebox.test/audit/1", SHA256)
TEMPLATE = "fusebox_sealed"
GUARDS = """
SELECT tgrelid::regclass::text, tgname FROM pg_trigger
WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'ledger\\_%'
"""
HAPPENED = f"""
from django.db import transaction
from audit.ledger import log
from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
for i in range({EVENTS} // 2):
    who = Actor(ActorKind.USER, f"id-{{i % 7}}", f"Person {{i % 7}}", "system",
                origin=Origin(ip=f"10.0.0.{{i % 7}}", request_id=f"r-{{i}}"))
    with transaction.atomic():
        log.record(who, Act.NODE_REGISTER, log.Obj("node", str(i), f"node {{i}}"),
                   log.Obj("model", "m"), changes=[log.Change("url", None, "http://x")])
    log.record_alone(who, Act.AUTHZ_DENIED, log.Obj("deployment", "d", "claims"), outcome="denied")
"""


DAILY = """
INSERT INTO ledger_checkpoint (tree, size, root, note, signed_at)
SELECT c.tree, c.size, c.root, c.note, now() - make_interval(days => d)
FROM (SELECT * FROM ledger_checkpoint ORDER BY id DESC LIMIT 1) c,
    generate_series({0}, 0, -1) AS d ORDER BY d DESC
"""


@dataclass(frozen=True)
class Sealed:
    """One database with its sealer's files."""

    name: str
    installation: Installation
    folder: Path

    @property
    def custody(self) -> Custody:
        return Custody(self.folder)

    def url(self, role: str) -> str:
        return self.installation.database_url(role, self.name)

    @property
    def web(self) -> str:
        return self.url(database.WEB)

    @property
    def sealer(self) -> str:
        return self.url(database.SEALER)

    @property
    def superuser(self) -> str:
        return self.url("fusebox_admin")

    def seal(self) -> None:
        sealer.seal_once(self.sealer, self.custody, LOG)

    def change_key(self) -> None:
        """As if two people had decided it; the sealer does it."""
        self.harm(
            "INSERT INTO ledger_keychange (id, proposal_id)"
            " VALUES (gen_random_uuid(), gen_random_uuid())"
        )
        self.seal()

    def happen(self, times: int = 1) -> None:
        """Twice so many events more, by the web's role, in a process of their own."""
        text = HAPPENED.replace(f"{EVENTS} // 2", str(times))
        manage(self.web, "shell", "--no-imports", "-c", text)

    def harm(self, *statements: str, values: tuple[Any, ...] = ()) -> None:
        """What somebody with the whole database in hand does: no trigger stops them."""
        with psycopg.connect(self.superuser) as connection:
            guards = connection.execute(GUARDS).fetchall()
            for table in {table for table, _guard in guards}:
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            for statement in statements:
                connection.execute(statement, values if "%s" in statement else None)
            for table in {table for table, _guard in guards}:
                connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
            for table, guard in guards:
                connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {guard}")

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.superuser) as connection:
            return connection.execute(query).fetchall()

    def verify(self, *, own_head: bool = False, **options: Any) -> Report:
        """As the web's role, with the certificate; `own_head` also with the sealer's record."""
        if own_head and (head := self.custody.head()):
            options["outside"] = [*options.get("outside", []), head.note]
        return Verification(self.web, read_certificate(self.custody.certificate), **options).run()

    def manage(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """A command of ours on this database, whatever it ends with."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": self.web,
                "DATABASE_SEALER_URL": self.sealer,
                "FUSEBOX_SEALER_DIR": str(self.folder),
                "FUSEBOX_LOG_ORIGIN": LOG.origin,
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture(scope="session")
def sealed_template(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sealed]:
    made = Sealed(TEMPLATE, installation, tmp_path_factory.mktemp("sealer") / "files")
    with _admin(installation) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                sql.Identifier(TEMPLATE), sql.Identifier(database.OWNER)
            )
        )
        owner = made.url(database.OWNER)
        database.share_with_web(owner)
        manage(owner, "migrate", "--verbosity", "0")
        manage(made.web, "shell", "--no-imports", "-c", HAPPENED)
        made.seal()
        yield made
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(TEMPLATE)))


@pytest.fixture
def sealed(sealed_template: Sealed, tmp_path: Path) -> Iterator[Sealed]:
    """A copy to harm: the database and the sealer's files."""
    with copied(sealed_template, tmp_path / "sealer") as made:
        yield made


@contextmanager
def copied(template: Sealed, folder: Path) -> Iterator[Sealed]:
    """A database and a sealer's folder of their own, as the template was when it was sealed."""
    name = f"fusebox_copy_{uuid4().hex[:12]}"
    shutil.copytree(template.folder, folder)
    with _admin(template.installation) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(database.OWNER), sql.Identifier(TEMPLATE)
            )
        )
        made = Sealed(name, template.installation, folder)
        with psycopg.connect(made.superuser) as connection:
            connection.execute("UPDATE ledger_sealer SET beat_at = now()")
        yield made
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def house(sealed: Sealed, django_db_blocker: Any, settings: Settings) -> Iterator[Sealed]:
    """The copy with three administrators in it, and Django signed in to it as the web's role."""
    settings.FUSEBOX_LOG_ORIGIN = LOG.origin
    with signed_in(sealed, django_db_blocker):
        for name, role in (("audit", "audit"), ("second", "audit"), ("security", "security")):
            access.create_user(actor=Actor.system("tests"), username=name, role=role)
        yield sealed


def who(name: str) -> Actor:
    return policy.actor_for(User.objects.get(username=name))


def store(sealed: Sealed, draft: Draft, at: datetime | None = None) -> UUID:
    """An event by the web's role, which may say what it wants of the time."""
    event = build(draft, log=LOG.origin)
    if at:
        said = {**orjson.loads(event.leaf), "t": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        event.at, event.leaf = at, canonical(said)
    with psycopg.connect(sealed.web) as connection:
        for statement, arrays in rows.inserts([event]):
            connection.execute(statement, arrays)
    return event.id


def sign_at(sealed: Sealed, size: int, tree: int = 1) -> None:
    """The head that the sealer would have signed at so many leaves of a tree."""
    edge = Edge(SHA256)
    for (value,) in sealed.ask(
        f"SELECT leaf_hash FROM ledger_leaf WHERE tree = {tree} AND position < {size}"
        " ORDER BY position"
    ):
        edge.append(bytes(value))
    head = Checkpoint(origin_of(LOG.base, tree), edge.size, edge.root())
    sealed.harm(
        "INSERT INTO ledger_checkpoint (tree, size, root, note, signed_at)"
        " VALUES (%s, %s, %s, %s, now())",
        values=(tree, edge.size, edge.root(), head.sign(sealed.custody.signer(LOG.base))),
    )


def hash_anew(sealed: Sealed) -> dict[int, Edge]:
    """Hashes, leaves and subtrees as the bytes of events are now: what needs no key."""
    sealed.harm(
        "UPDATE ledger_event SET leaf_hash = sha256('\\x00'::bytea || leaf)",
        "UPDATE ledger_leaf l SET leaf_hash = e.leaf_hash FROM ledger_event e"
        " WHERE e.id = l.event_id",
        "DELETE FROM ledger_subtree",
    )
    edges: dict[int, Edge] = {}
    for tree, value in sealed.ask("SELECT tree, leaf_hash FROM ledger_leaf ORDER BY 1, position"):
        for level, index, root in edges.setdefault(tree, Edge(SHA256)).append(bytes(value)):
            if level in LEVELS:
                sealed.harm(
                    "INSERT INTO ledger_subtree (tree, level, index, root) VALUES (%s, %s, %s, %s)",
                    values=(tree, level, index, root),
                )
    return edges


def sign_anew(sealed: Sealed, *, own_head: bool) -> None:
    """The log as if it had always been as it is now: the sealer's own key signs all its heads."""
    edges = hash_anew(sealed)
    kept = sealed.ask("SELECT id, tree, size, signed_at FROM ledger_checkpoint ORDER BY id")
    sealed.harm("DELETE FROM ledger_checkpoint")
    for tree, size in sorted({row[1:3] for row in kept}):
        sign_at(sealed, size, tree)
    for number, tree, size, signed_at in kept:
        sealed.harm(
            "INSERT INTO ledger_checkpoint (id, tree, size, root, note, signed_at)"
            " SELECT %s, tree, size, root, note, %s FROM ledger_checkpoint"
            " WHERE tree = %s AND size = %s LIMIT 1",
            values=(number, signed_at, tree, size),
        )
    sealed.harm(f"DELETE FROM ledger_checkpoint WHERE id > {kept[-1][0]}")
    head = sealed.custody.head()
    if own_head and head is not None:
        head.edge = edges[head.tree]
        [[head.note]] = sealed.ask("SELECT note FROM ledger_checkpoint ORDER BY id DESC LIMIT 1")
        sealed.custody.keep(head)


def date_back(sealed: Sealed, span: str, begin: int = 0) -> None:
    """What is sealed from a position on says that it happened so much earlier."""
    earlier = f"at - interval '{span}'"
    text = f"to_char(({earlier}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    sealed.harm(
        f"UPDATE ledger_event SET at = {earlier}, leaf = convert_to(regexp_replace("
        f"convert_from(leaf, 'UTF8'), '\"t\":\"[^\"]+', '\"t\":\"' || {text}), 'UTF8')"
        f" WHERE id IN (SELECT event_id FROM ledger_leaf WHERE position >= {begin})"
    )


def age(sealed: Sealed, days: int, *, own_head: bool = True) -> None:
    """The log as it is so many days later, with a head signed on each of them. own_head: and the
    sealer's record of it, which is not in a copy of the database."""
    date_back(sealed, f"{days} days")
    sign_anew(sealed, own_head=own_head)
    sealed.harm(
        f"UPDATE ledger_leaf SET sealed_at = sealed_at - interval '{days} days'",
        f"UPDATE ledger_checkpoint SET signed_at = signed_at - interval '{days} days'",
        DAILY.format(days),
    )


def jump(sealed: Sealed, days: int) -> None:
    """The clock is set ahead by so many days, and a head is signed."""
    date_back(sealed, f"{days} days")
    sign_anew(sealed, own_head=True)
    sealed.harm(
        f"UPDATE ledger_checkpoint SET signed_at = signed_at - interval '{days} days'",
        f"UPDATE ledger_leaf SET sealed_at = sealed_at - interval '{days} days'",
        DAILY.format(0),
    )


def prune_all() -> int:
    total = 0
    while count := actions.prune(actor=Actor.system("tests")):
        total += count
    return total


def approved(proposal: Proposal) -> Any:
    return access.approve(actor=who("second"), proposal=proposal)


def _admin(installation: Installation) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(installation.database_url("fusebox_admin", "postgres"), autocommit=True)


@contextmanager
def signed_in(sealed: Sealed, blocker: Any, role: str = "") -> Iterator[None]:
    """Django's own connection, to this database, as the web's role."""
    parts = conninfo_to_dict(role or sealed.web)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password"}
    own = {name: connection.settings_dict[name] for name in names}
    with blocker.unblock():
        connection.close()
        connection.settings_dict.update({n: str(parts.get(p, "")) for n, p in names.items()})
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict.update(own)
