"""The verb on documents: to have one read. It changes nothing and keeps nothing."""

from __future__ import annotations

from typing import IO

from access import policy
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from deployments.documents import reading
from deployments.documents.reading import Reading


def extract_document(*, actor: Actor, name: str, content: IO[bytes]) -> Reading:
    """The text of a document, for whoever may use deployments. A problem is told, not raised:
    that somebody brought a hostile file is as much an event as that somebody brought a good one.

    Of its name the log has a commitment, of its content nothing.
    """
    policy.require(actor, Act.DOCUMENT_EXTRACT)
    found = reading.read(name, content)
    log.record_alone(
        actor,
        Act.DOCUMENT_EXTRACT,
        Obj("document", "", name[:200], personal=True),
        outcome="failure" if found.problem else "success",
        reason=found.problem,
        details={
            "kind": found.kind or found.suffix.removeprefix("."),
            "bytes": found.size,
            "pages": found.pages,
            "characters": len(found.text),
        },
    )
    return found
