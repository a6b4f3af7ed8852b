"""Fixtures of the audit tests: events to look for, and a database with all its guards in place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.db import transaction
from psycopg import sql

from audit.ledger import log
from audit.ledger.actor import Actor, ActorKind, Origin
from audit.ledger.acts import Act
from audit.ledger.event import Event
from audit.ledger.log import Obj
from console import database
from console.embedded.installation import Installation
from tests.architecture.source import ROOT

Happen = Callable[..., Event]
GUARDED = "fusebox_guarded"


@pytest.fixture
def happen(db: None) -> Happen:
    """Let something happen: `happen(Act.NODE_REGISTER, Obj(…), name="li.wei", ip="10.0.0.7")`."""

    def make(
        act: Act = Act.NODE_REGISTER,
        *objects: Obj,
        name: str = "somebody",
        id: str = "id-of-somebody",
        ip: str = "",
        request: str = "",
        **details: Any,
    ) -> Event:
        kind = ActorKind.USER if id else ActorKind.ANONYMOUS
        actor = Actor(kind, id, name, "member", origin=Origin(ip=ip, request_id=request))
        with transaction.atomic():
            return log.record(actor, act, *objects, **details)

    return make


@dataclass(frozen=True)
class Guarded:
    """A migrated database as production has it, with one event; the addresses of its roles."""

    web: str
    owner: str
    superuser: str


@pytest.fixture(scope="session")
def guarded(installation: Installation) -> Iterator[Guarded]:
    """Not the tests' own database, from which the guard against TRUNCATE has been taken."""
    roles = Guarded(
        installation.database_url(database.WEB, GUARDED),
        installation.database_url(database.OWNER, GUARDED),
        installation.database_url("fusebox_admin", GUARDED),
    )
    name = sql.Identifier(GUARDED)
    with psycopg.connect(
        installation.database_url("fusebox_admin", "postgres"), autocommit=True
    ) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                name, sql.Identifier(database.OWNER)
            )
        )
        database.share_with_web(roles.owner)
        manage(roles.owner, "migrate", "--verbosity", "0")
        manage(roles.web, "shell", "--no-imports", "-c", ONE_EVENT)
        yield roles
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


ONE_EVENT = """
from django.db import transaction
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
with transaction.atomic():
    log.record(Actor.system("tests"), Act.NODE_REMOVE, log.Obj("node", "1"), log.Obj("model", "2"))
"""


def manage(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py on a database; what it says, when it fails, is the failure."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "DATABASE_OWNER_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
