"""One event proved, here and now: its bytes lead to a head that the sealer signed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.ledger import proofs
from audit.ledger.certificate import NotTrusted, read_certificate, trusted
from audit.ledger.models import Event, Leaf
from audit.ledger.note import BadNote, open_checkpoint
from audit.ledger.proofs import NotSealed, Proofs, Signed
from audit.ledger.tree import root_of_path

SOON_S = 1.0


@dataclass(frozen=True, slots=True)
class Proof:
    """Where an event stands in the tree, and whether its bytes lead to the signed root.

    state: waiting (not sealed or not signed yet), proved, unconfirmed (no certificate here), false.
    """

    state: str
    words: str | Promise
    origin: str = ""
    position: int | None = None
    sealed_at: datetime | None = None
    size: int = 0
    path: tuple[str, ...] = ()
    note: str = ""


def of(event: Event) -> Proof:
    """Checked at the moment of the call, from the stored bytes up to the signature."""
    leaf = Leaf.objects.filter(event_id=event.pk).first()
    if leaf is None:
        return Proof("waiting", _("Not sealed yet; that takes about a second."))
    signed = _covering(leaf)
    if signed is None or signed.size <= leaf.position:
        soon = _("Sealed; the next signed head will cover it within a minute.")
        return Proof("waiting", soon, position=leaf.position, sealed_at=leaf.sealed_at)
    state, words, path = _check(event, leaf, signed)
    return Proof(
        state, words, signed.origin, leaf.position, leaf.sealed_at, signed.size, path, signed.note
    )


def _covering(leaf: Leaf) -> Signed | None:
    """The newest head of its tree; the sealer is asked for one that covers it, if none does yet."""
    signed = proofs.newest(leaf.tree)
    if signed is None or signed.size <= leaf.position:
        with suppress(NotSealed):
            return proofs.fresh(SOON_S)
    return signed


def _check(event: Event, leaf: Leaf, signed: Signed) -> tuple[str, str | Promise, tuple[str, ...]]:
    try:
        path = Proofs(signed).path(leaf.position)
        value = signed.hasher.leaf(bytes(event.leaf))
        root = root_of_path(signed.hasher, value, leaf.position, signed.size, path)
    except (NotSealed, ValueError):
        return "false", _("The tree has holes: somebody changed the database."), ()
    shown = tuple(value.hex() for value in path)
    try:
        certificate = read_certificate(settings.LOG_CERTIFICATE)
        keys = [(key.vkey, endorsement) for key, endorsement in proofs.signing_keys()]
        head = open_checkpoint(signed.note, trusted(certificate, keys), signed.origin)
    except NotTrusted:
        if root == signed.root:
            words = _("It leads to the newest head. There is no certificate here to check whose.")
            return "unconfirmed", words, shown
        return "false", _("Its bytes do not lead to the newest head."), shown
    except (BadNote, NotSealed):
        return "false", _("The newest head was not signed by this log's sealer."), shown
    if (root, signed.size) != (head.root, head.size):
        return "false", _("Its bytes do not lead to the signed head."), shown
    return "proved", _("Its bytes lead to the head that the sealer signed."), shown
