"""The worker's part of erasing people, and of keeping them erased."""

from __future__ import annotations

import logging
from uuid import UUID

from django.utils import timezone

from access.models import User
from audit.ledger.actor import Actor
from audit.office import actions
from audit.office.content import store
from audit.office.content.models import Erasure, ErasureState

logger = logging.getLogger(__name__)
ACTOR = Actor.system("erasure")


def run() -> int:
    """Go on with every erasure that is due. Of two workers at once one is refused by the database
    (ledger_erase) and goes on at the next beat."""
    done = 0
    due = Erasure.objects.exclude(state=ErasureState.DONE).filter(due_at__lte=timezone.now())
    for row in list(due):
        actions.erase_more(actor=ACTOR, erasure=row)
        done += 1
    return done


def after_restore() -> list[UUID]:
    """Who was erased according to the key folder, and whom this database knows by name again: it
    was restored from an older copy. Their keys are gone; the account is erased anew."""
    known = set(Erasure.objects.values_list("person_id", flat=True))
    found = []
    for person in store.keys().erased() - known:
        user = User.objects.filter(pk=person, erased_at=None).first()
        if user is not None:
            logger.warning("erased before this database was restored: %s", person)
            actions.erase_again(actor=ACTOR, person=user)
            found.append(person)
    return found
