"""Filters that an auditor keeps under a name."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.office.filters import Filter, without_nul
from audit.office.models import SavedSearch
from audit.office.recording import as_changes

MOST = 50
MAX_NAME = 80


def save_search(*, actor: Actor, name: str, wanted: Filter) -> SavedSearch:
    """Keep a filter; another of the same name gives way to it. The name, which may be a person's,
    is not in the log."""
    policy.require(actor, Act.AUDIT_SAVE_SEARCH)
    name = without_nul("name", name.strip())
    if not name or len(name) > MAX_NAME:
        raise Invalid(_("Give it a name of up to 80 characters."), field="name")
    if not wanted.active():
        raise Invalid(_("Filter for something first."), field="name")
    with transaction.atomic():
        mine = SavedSearch.objects.filter(owner_id=actor.id)
        if mine.exclude(name=name).count() >= MOST:
            raise Invalid(_("You have 50 saved searches. Delete one first."), field="name")
        before = mine.filter(name=name).select_for_update().first()
        made, _new = SavedSearch.objects.update_or_create(
            owner_id=actor.id, name=name, defaults={"query": wanted.active()}
        )
        log.record(
            actor, Act.AUDIT_SAVE_SEARCH, Obj("search", str(made.pk)),
            changes=as_changes(wanted, before.query if before else None),
        )  # fmt: skip
    return made


def delete_search(*, actor: Actor, search: SavedSearch) -> None:
    """Only one's own."""
    policy.require(actor, Act.AUDIT_DELETE_SEARCH)
    with transaction.atomic():
        log.record(
            actor, Act.AUDIT_DELETE_SEARCH, Obj("search", str(search.pk)),
            changes=as_changes(Filter(), search.query),
        )  # fmt: skip
        search.delete()
