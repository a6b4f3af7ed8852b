"""The sealer: gives committed events their positions in the tree and signs its heads.

It holds one connection, under a role of its own. The session leads (`leading`), and what it writes
goes through it, so that a sealer which leads no more cannot commit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from audit.ledger import filing, incidents, leading, orphans, rows
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.custody import Custody, CustodyBroken, Head, succession
from audit.ledger.event import Draft, Obj, build
from audit.ledger.log_names import base_of, origin_of
from audit.ledger.note import Checkpoint, PublicKey, Signer, open_checkpoint
from audit.ledger.tree import Edge, Hasher

logger = logging.getLogger(__name__)

Connection = psycopg.Connection[tuple[Any, ...]]
Waiting = tuple[int, UUID, bytes | None, bool | None]
CHANNEL = "fusebox_checkpoint"
BATCH = 5000
LEVELS = (8, 16, 24)
LOOK_S, BEAT_S, ORPHANS_S, RETRY_S = 0.2, 2.0, 15.0, 1.0
SIGN_S, SIGN_LEAVES, IDLE_S = 60.0, 1000, 900.0
GAP = timedelta(seconds=60)
STEP_BACK = timedelta(seconds=5)
ACTOR = Actor.system("sealer")


@dataclass(frozen=True, slots=True)
class Log:
    """Which log is sealed: the name that its origins begin with, and the hash of its tree."""

    origin: str
    hasher: Hasher

    @property
    def base(self) -> str:
        return base_of(self.origin)


class Sealer:
    """One sealer over one connection. `lead` first; then `step` and `sign`, or `work` for both."""

    def __init__(self, connection: Connection, custody: Custody, log: Log) -> None:
        self.connection = connection
        self.custody = custody
        self.log = log
        self.head: Head | None = None
        self.signer: Signer | None = None
        self._signed_size = -1
        self._beat_at = self._orphans_at = self._keys_at = 0.0
        # Long ago: a sealer that begins signs at once what is new, however old it is.
        self._signed_at = -SIGN_S
        self.incident: incidents.Incident | None = None

    def lead(self) -> None:
        """Become the only sealer, and take up where the last head stands.

        Raises NotLeader; CustodyBroken when the sealer's own files cannot be trusted.
        """
        self.connection.autocommit = True
        leading.lead(self.connection)
        self.connection.execute(f"LISTEN {CHANNEL}")
        self.custody.create()
        self._open()

    def _open(self) -> None:
        newest = self.connection.execute(
            "SELECT number FROM ledger_tree ORDER BY number DESC LIMIT 1"
        ).fetchone()
        head, number = self.custody.head(), newest[0] if newest else 0
        if head is None and number == 0 and not self.custody.has_keys:
            head = Head(1, origin_of(self.log.base, 1), Edge(self.log.hasher), _text(_now()))
            self.custody.keep(head)
        if head and (base_of(head.origin), head.edge.hasher) != (self.log.base, self.log.hasher):
            raise CustodyBroken(
                f"this sealer's record is of {base_of(head.origin)} ({head.edge.hasher.name}); "
                "a log keeps its name and its hash"
            )
        self.incident = incidents.found(self.connection, head, number)
        if self.incident or head is None:
            self.head = head
            return
        self.signer = self.custody.signer(self.log.base, self._vkeys(), head)
        self._publish(self.signer.public)
        if number < head.tree:
            self._plant(head)
        self.head = head
        self._catch_up(head)
        self._note_gap()

    def _plant(self, head: Head) -> None:
        """Begin the tree of an empty head; after a rollback its first leaf says what it follows."""
        signer = self._need_signer()
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO ledger_tree (number, origin, hash) VALUES (%s, %s, %s)",
                [head.tree, head.origin, head.edge.hasher.name],
            )
            word = self.custody.endorsement(self._chain(), signer, head)
            self.connection.execute(
                "INSERT INTO ledger_signingkey (vkey, tree, endorsement) VALUES (%s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                [signer.public.vkey, head.tree, word],
            )
            if head.follows:
                event_id = self._record(Act.AUDIT_NEW_TREE, Obj("tree", head.origin), head.follows)
                # Before all that waits: nothing of this tree may come before its first leaf.
                edge = head.edge.copy()
                self._seal(edge, head.tree, self._waiting(event_id))
                head.edge = edge
        self.custody.keep(head)

    def _catch_up(self, head: Head) -> None:
        """Take in what was sealed after the record was kept, and check every head signed since."""
        keys = self.keys()
        later = self.connection.execute(
            "SELECT size, note FROM ledger_checkpoint WHERE tree = %s AND size > %s ORDER BY size",
            [head.tree, head.edge.size],
        ).fetchall()
        signed = {size: open_checkpoint(note, keys, head.origin) for size, note in later}
        edge = head.edge.copy()
        with self.connection.transaction(), self.connection.cursor("sealed") as cursor:
            cursor.execute(
                "SELECT position, leaf_hash FROM ledger_leaf"
                " WHERE tree = %s AND position >= %s ORDER BY position",
                [head.tree, edge.size],
            )
            for position, leaf_hash in cursor:
                if position != edge.size:
                    raise CustodyBroken(f"leaf {edge.size} is missing from the database")
                edge.append(bytes(leaf_hash))
                known = signed.get(edge.size)
                if known and known.root != edge.root():
                    raise CustodyBroken(f"another history was signed at {edge.size} leaves")
        if signed and max(signed) > edge.size:
            raise CustodyBroken("a head was signed for leaves that are not in the database")
        head.edge = edge
        if later:
            head.note = later[-1][1]
        self.custody.keep(head)
        self._keep_note(head)

    def _keep_note(self, head: Head) -> None:
        """The last signed head is in the database, also when a crash came between."""
        if not head.note:
            return
        last = open_checkpoint(head.note, self.keys(), head.origin)
        self._signed_size, self._signed_at = last.size, time.monotonic() - SIGN_S
        self.connection.execute(
            "INSERT INTO ledger_checkpoint (tree, size, root, note, signed_at)"
            " SELECT %s, %s, %s, %s, now() WHERE NOT EXISTS"
            " (SELECT FROM ledger_checkpoint WHERE tree = %s AND size = %s)",
            [head.tree, last.size, last.root, head.note, head.tree, last.size],
        )

    def _note_gap(self) -> None:
        """Nobody sealed for a while: the log says from when to when."""
        row = self.connection.execute("SELECT beat_at FROM ledger_sealer WHERE id = 1").fetchone()
        now = _now()
        if row and now - row[0] > GAP:
            self._record(
                Act.AUDIT_GAP, Obj("process", "sealer"), {"from": _text(row[0]), "to": _text(now)}
            )
        self.beat()

    def keys(self) -> list[PublicKey]:
        """The sealer's public keys, its own first."""
        own = [self.signer.public] if self.signer else []
        return own + [PublicKey.parse(vkey) for vkey in self._vkeys()]

    def _vkeys(self) -> list[str]:
        return [vkey for vkey, _endorsement in self._chain()]

    def _chain(self) -> list[tuple[str, str]]:
        query = "SELECT vkey, endorsement FROM ledger_signingkey ORDER BY id"
        return [(vkey, named) for vkey, named in self.connection.execute(query)]

    def _publish(self, key: PublicKey) -> None:
        self.custody.publish_certificate(self.log.base, self.log.hasher.name, key, self._chain())

    # --- work ---------------------------------------------------------------------------------

    def work(self, stop: threading.Event) -> None:
        """Seal, sign, say that it lives, and close what the dead left open, until `stop`."""
        while not stop.is_set():
            if self.incident:
                self._wait_for_people()
                stop.wait(RETRY_S)
                continue
            sealed = self.step()
            # In batches: who seals each event at once keeps the others from storing theirs.
            asked = self._asked(0 if sealed >= BATCH else LOOK_S)
            if asked:
                self.step()
            if self._due(asked=asked):
                self.sign()
            self.tidy()

    def _asked(self, wait_s: float) -> bool:
        """Whether somebody wants a checkpoint now."""
        return bool(list(self.connection.notifies(timeout=wait_s, stop_after=1)))

    def step(self) -> int:
        """Seal what waits, up to a batch. Returns how many leaves the tree has gained."""
        head = self._need_head()
        edge = head.edge.copy()
        with self.connection.transaction():
            filing.file(self.connection, BATCH)
            waiting = self._waiting()
            if not waiting:
                return 0
            sealed_at = self._seal(edge, head.tree, waiting)
        gained = edge.size - head.edge.size
        head.edge, head.sealed_at = edge, sealed_at
        self.custody.keep(head)
        return gained

    def _waiting(self, only: UUID | None = None) -> list[Waiting]:
        return self.connection.execute(
            "SELECT p.number, p.event_id, e.leaf, CASE WHEN e.wseq IS NULL AND e.boot IS NOT NULL"
            " THEN position('\"wseq\":null'::bytea IN e.leaf) = 0 END FROM ledger_pending p"
            " LEFT JOIN ledger_event e ON e.id = p.event_id"
            " WHERE %(only)s::uuid IS NULL OR p.event_id = %(only)s"
            " ORDER BY p.number LIMIT %(most)s",
            {"only": only, "most": BATCH},
        ).fetchall()

    def _seal(self, edge: Edge, tree: int, waiting: Sequence[Waiting]) -> str:
        """In the caller's transaction: positions for what waits, in the order of its arrival."""
        sealed_at = self._moment()
        positions, ids, hashes, subtrees = [], [], [], []
        for _number, event_id, leaf, robbed in waiting:
            if leaf is None or robbed:
                # Stored, then gone before it was sealed: somebody deleted it. Or another event
                # was stored under its number, and it was filed without one.
                details = {"event": str(event_id), "from": sealed_at, "to": sealed_at}
                if robbed:
                    details["why"] = "another event has its number"
                self._record(Act.AUDIT_GAP, Obj("event", str(event_id)), details)
            if leaf is None:
                continue
            value = edge.hasher.leaf(bytes(leaf))
            positions.append(edge.size)
            ids.append(event_id)
            hashes.append(value)
            subtrees += [s for s in edge.append(value) if s[0] in LEVELS]
        self.connection.execute(
            "INSERT INTO ledger_leaf (tree, position, event_id, leaf_hash, sealed_at)"
            " SELECT %s, p, i, h, %s::timestamptz"
            " FROM unnest(%s::bigint[], %s::uuid[], %s::bytea[]) AS t (p, i, h)",
            [tree, sealed_at, positions, ids, hashes],
        )
        for level, index, root in subtrees:
            self.connection.execute(
                "INSERT INTO ledger_subtree (tree, level, index, root) VALUES (%s, %s, %s, %s)",
                [tree, level, index, root],
            )
        self.connection.execute(
            "DELETE FROM ledger_pending WHERE number = ANY(%s)", [[w[0] for w in waiting]]
        )
        return sealed_at

    def _moment(self) -> str:
        """Now, never before the last time that was given: a clock set back is an event."""
        now = _now()
        last = datetime.fromisoformat(self.head.sealed_at) if self.head else now
        if last - now > STEP_BACK:
            known = self.head.stepped_from if self.head else ""
            if self.head and known != self.head.sealed_at:
                self.head.stepped_from = self.head.sealed_at
                details = {"from": _text(last), "to": _text(now)}
                self._record(Act.AUDIT_CLOCK_STEP, Obj("process", "sealer"), details)
        return _text(max(now, last))

    def _due(self, *, asked: bool) -> bool:
        size, waited = self._need_head().edge.size, time.monotonic() - self._signed_at
        new = size - self._signed_size
        late = waited > (SIGN_S if new else IDLE_S)
        return size > 0 and ((asked and new > 0) or new >= SIGN_LEAVES or late)

    def sign(self) -> Checkpoint:
        """Sign the head of what is sealed. It is in the sealer's own record first."""
        head, signer = self._need_head(), self._need_signer()
        checkpoint = Checkpoint(head.origin, head.edge.size, head.edge.root())
        head.note = checkpoint.sign(signer)
        self.custody.keep(head)
        self.connection.execute(
            "INSERT INTO ledger_checkpoint (tree, size, root, note, signed_at)"
            " VALUES (%s, %s, %s, %s, now())",
            [head.tree, checkpoint.size, checkpoint.root, head.note],
        )
        self._signed_size, self._signed_at = checkpoint.size, time.monotonic()
        return checkpoint

    def rotate(self, change: UUID) -> PublicKey:
        """Change the key: the old one names the new one, in a note and in the log, and goes.
        change: what two people decided."""
        head, old = self._need_head(), self._need_signer()
        at = self.sign()
        new = self.custody.new_key(self.log.base)
        public = new.public
        details = {"key": public.vkey, "fingerprint": public.fingerprint, "change": str(change)}
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO ledger_signingkey (vkey, tree, endorsement, change_id)"
                " VALUES (%s, %s, %s, %s)",
                [new.public.vkey, head.tree, succession(old, new, at), change],
            )
            self._record(Act.AUDIT_NEW_KEY, Obj("key", new.public.id.hex()), details)
        self.step()
        checkpoint = Checkpoint(head.origin, head.edge.size, head.edge.root())
        self.signer = new
        head.note = checkpoint.sign(old, new)
        self.custody.keep(head)
        self._keep_note(head)
        self._publish(new.public)
        return new.public

    def beat(self) -> None:
        """Say in the database that this sealer lives, and how it is."""
        incidents.tell(self.connection, self.head, self.incident)
        self._beat_at = time.monotonic()

    def tidy(self) -> None:
        """What is done now and then: a sign of life, the orphans, a new key if one is wanted."""
        now = time.monotonic()
        if now - self._beat_at > BEAT_S:
            self.beat()
        if now - self._keys_at > BEAT_S:
            self._keys_at = now
            if change := self._wanted_change():
                self.rotate(change)
        if now - self._orphans_at > ORPHANS_S:
            orphans.close_silent(self.connection, self.log.origin)
            self._orphans_at = now

    def _wanted_change(self) -> UUID | None:
        """A change of the key that was decided and not made yet."""
        row = self.connection.execute(
            "SELECT c.id FROM ledger_keychange c WHERE NOT EXISTS"
            " (SELECT FROM ledger_signingkey k WHERE k.change_id = c.id) ORDER BY c.at LIMIT 1"
        ).fetchone()
        return row[0] if row else None

    def _wait_for_people(self) -> None:
        incident = self.incident
        if incident is None:
            return
        self.beat()
        # Nothing is sealed, and yet what happens can be found.
        filing.file(self.connection, BATCH)
        if follows := incidents.acknowledged(self.connection, incident):
            number = incident.next_tree
            head = Head(
                number, origin_of(self.log.base, number), Edge(self.log.hasher), _text(_now()),
                follows=follows,
            )  # fmt: skip
            self.custody.keep(head)
            self._open()

    def _record(self, act: Act, obj: Obj, details: dict[str, Any]) -> UUID:
        event = build(Draft(ACTOR, act, (obj,), details=details), log=self.log.origin)
        for statement, arrays in rows.inserts([event]):
            self.connection.execute(statement, arrays)
        return event.id

    def _need_head(self) -> Head:
        if self.head is None:
            raise CustodyBroken("there is no head to go on from")
        return self.head

    def _need_signer(self) -> Signer:
        if self.signer is None:
            raise CustodyBroken("there is no key to sign with")
        return self.signer


def _now() -> datetime:
    return datetime.now(UTC)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
