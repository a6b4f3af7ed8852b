"""A sealed log in a database of its own, with the real roles, copied for each test of harm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pytest_django import Settings

from access import actions as access
from access import policy
from access.models import Proposal, User
from audit.ledger import sealer
from audit.ledger.actor import Actor
from audit.ledger.certificate import read_certificate
from audit.ledger.check import Verification
from audit.ledger.custody import Custody
from audit.ledger.report import Report
from audit.ledger.sealing import Log
from audit.ledger.tree import SHA256
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


def age(sealed: Sealed, days: int) -> None:
    """The log as it is so many days later, with a head signed on each of them."""
    sealed.harm(
        f"UPDATE ledger_leaf SET sealed_at = sealed_at - interval '{days} days'",
        f"UPDATE ledger_checkpoint SET signed_at = signed_at - interval '{days} days'",
        DAILY.format(days),
    )


def jump(sealed: Sealed, days: int) -> None:
    """The clock is set ahead by so many days, and a head is signed."""
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
