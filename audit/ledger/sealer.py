"""The sealer as a process: stand by, lead, seal until told to stop, come back with the database."""

from __future__ import annotations

import logging
import threading

import psycopg

from audit.ledger import incidents
from audit.ledger.custody import Custody, CustodyBroken
from audit.ledger.leading import NotLeader
from audit.ledger.note import Checkpoint
from audit.ledger.sealing import RETRY_S, Log, Sealer
from audit.ledger.tree import HASHERS

logger = logging.getLogger(__name__)


def log_of(origin: str, hash_name: str) -> Log:
    return Log(origin, HASHERS[hash_name])


def run(conninfo: str, custody: Custody, log: Log, stop: threading.Event) -> None:
    """Seal until `stop`: stand by while another does, come back when the database does."""
    told = ""
    while not stop.is_set():
        try:
            with psycopg.connect(
                conninfo, connect_timeout=5, application_name="fusebox-sealer"
            ) as connection:
                sealer = Sealer(connection, custody, log)
                sealer.lead()
                logger.warning("sealing %s", log.base)
                told = ""
                sealer.work(stop)
        except NotLeader:
            told = _tell(told, "another sealer is at work; standing by")
        except (psycopg.Error, OSError) as error:
            told = _tell(told, f"the log cannot be sealed: {error}".strip())
        except (CustodyBroken, ValueError) as error:
            told = _tell(told, f"nothing is signed: {error}")
            _tell_people(conninfo, str(error))
        stop.wait(RETRY_S)


def seal_once(conninfo: str, custody: Custody, log: Log) -> Checkpoint | None:
    """Seal what waits now, sign, and let go; None while people must acknowledge a rollback.

    Raises NotLeader when another sealer is at work.
    """
    with psycopg.connect(conninfo, application_name="fusebox-sealer") as connection:
        sealer = Sealer(connection, custody, log)
        sealer.lead()
        if sealer.incident:
            sealer.beat()
            return None
        while sealer.step():
            pass
        sealer.tidy()
        return sealer.sign()


def _tell(before: str, now: str) -> str:
    if now != before:
        logger.error(now)
    return now


def _tell_people(conninfo: str, problem: str) -> None:
    try:
        with psycopg.connect(conninfo, connect_timeout=5, autocommit=True) as connection:
            incidents.tell_broken(connection, problem)
    except psycopg.Error as error:
        logger.error("it could not be told either: %s", error)
