"""What a witness is told, and what is found when the head it saw is not a part of the log.

A head that this log's own sealer signed, and that the log does not extend, can only be one of two
things: an older copy of the log, or another history under the same key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid, WrongState
from audit.ledger import proofs
from audit.ledger.log_names import base_of
from audit.ledger.models import Checkpoint, Tree
from audit.ledger.note import BadNote, open_note, read_checkpoint
from audit.ledger.note import Checkpoint as Head
from audit.ledger.proofs import NotSealed, Proofs, Signed
from audit.office.outside_models import Witness

FORK, ROLLBACK, NEW_TREE, FALSE = "fork", "rollback", "new_tree", "false"
KINDS = (FORK, ROLLBACK, NEW_TREE, FALSE)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, in words for people, and the signed head that shows it."""

    kind: str
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The newest head, its keys, and a proof from the head that was seen, where there is one."""

    log: str
    hash: str
    checkpoint: str
    keys: list[dict[str, str]]
    proof: dict[str, Any] | None = field(default=None)


def secret_hash(secret: str) -> bytes:
    """What is kept of a witness's secret: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def base() -> str:
    return base_of(settings.FUSEBOX_LOG_ORIGIN)


def answer(seen: str) -> tuple[Answer, Finding | None]:
    """What to tell a witness that saw `seen` last, and what is wrong with that, if anything is.

    Raises Invalid for a text that this log did not sign, WrongState before there is a head.
    """
    signed = proofs.newest()
    if signed is None:
        raise WrongState(_("Nothing is sealed yet."))
    try:
        keys = proofs.signing_keys()
        before = _head(seen, [key for key, _word in keys]) if seen else None
        proof, finding = _compare(signed, before, seen) if before else (None, None)
    except NotSealed as error:
        raise WrongState(str(error)) from error
    told = [{"vkey": key.vkey, "endorsement": word} for key, word in keys]
    name = base_of(signed.origin)
    return Answer(name, signed.hasher.name, signed.note, told, proof), finding


def _head(seen: str, keys: list[Any]) -> Head:
    try:
        return read_checkpoint(open_note(seen, keys))
    except BadNote as error:
        raise Invalid(_("The head that was seen was not signed by this log."), field="seen") from (
            error
        )


def _compare(
    signed: Signed, before: Head, seen: str
) -> tuple[dict[str, Any] | None, Finding | None]:
    tree = Tree.objects.filter(origin=before.origin).first()
    own = proofs.newest(tree.number) if tree else None
    if own is None or before.size > own.size:
        text = (
            f"it was shown {before.origin} with {before.size} events; this database knows "
            f"{own.size if own else 0}"
        )
        return None, Finding(ROLLBACK, text, seen)
    reader = Proofs(own)
    if reader.root_at(before.size) != before.root:
        text = f"it was shown another history: {before.size} events with another root"
        return None, Finding(FORK, text, seen)
    if own.tree != signed.tree:
        return None, None
    proof = {
        "from": before.size,
        "before": [value.hex() for value in reader.cover(0, before.size)],
        "after": [value.hex() for value in reader.cover(before.size, signed.size)],
    }
    return proof, None


def signed_as(head: str) -> Checkpoint | None:
    """The checkpoint of ours whose text this is."""
    try:
        found = read_checkpoint(head)
    except BadNote:
        return None
    tree = Tree.objects.filter(origin=found.origin).first()
    if tree is None:
        return None
    same = Checkpoint.objects.filter(tree=tree.number, size=found.size).order_by("-pk")
    return next((row for row in same if bytes(row.root) == found.root), None)


def silent_since(moment: datetime) -> QuerySet[Witness]:
    """Who should have confirmed something after `moment` and is not known to be late yet."""
    active = Witness.objects.filter(revoked_at=None, late_since=None, created_at__lt=moment)
    return active.filter(Q(confirmed_at=None) | Q(confirmed_at__lt=moment))


def alarmed() -> QuerySet[Witness]:
    return Witness.objects.exclude(alarm="")
