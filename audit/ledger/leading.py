"""Who seals: one session at a time, told apart by what only the sealer's role can do.

An advisory lock is for everybody to take, also for the web's role. So a session asks for a table's
lock for a moment, which takes the right to write to that table, and looks whether another of its
own role leads; that it leads itself is its session's name, and goes with the session.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
LEADS = "fusebox-sealer leads"
OTHER = """
SELECT EXISTS (SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = %s
        AND pid <> pg_backend_pid())
"""
# A session that was closed is seen for a moment more.
TRIES, AGAIN_S = 5, 0.1


class NotLeader(RuntimeError):
    """Another sealer is at work; this one stands by."""


def lead(connection: Connection) -> None:
    """Make this session the leader, until it ends. Raises NotLeader."""
    for _try in range(TRIES):
        with connection.transaction():
            connection.execute("LOCK TABLE ledger_sealer IN SHARE ROW EXCLUSIVE MODE")
            row = connection.execute(OTHER, [LEADS]).fetchone()
            if row and not row[0]:
                connection.execute("SELECT set_config('application_name', %s, false)", [LEADS])
                return
        time.sleep(AGAIN_S)
    raise NotLeader
