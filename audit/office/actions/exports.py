"""Exports that a worker makes: ask for one, cancel it, fetch it. Making it is events.export."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from access import policy
from access.errors import Invalid, WrongState
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.office import formats, runs, wake
from audit.office.filters import Filter
from audit.office.models import UNDER_WAY, Export
from audit.office.recording import as_changes

KEPT = timedelta(hours=24)
AT_ONCE = 4


def request_export(*, actor: Actor, wanted: Filter, format: str) -> Export:
    """Have a worker make an export; it can be fetched for a day. What it then holds is an event
    of its own."""
    policy.require(actor, Act.AUDIT_REQUEST_EXPORT)
    if format not in (*formats.ALL, "bundle"):
        raise Invalid(_("There is no such format."), field="format")
    with transaction.atomic():
        if Export.objects.filter(state__in=UNDER_WAY).count() >= AT_ONCE:
            raise WrongState(
                _("%(count)d exports are under way; wait for one or cancel it.")
                % {"count": AT_ONCE}
            )
        made = Export.objects.create(
            format=format,
            query=wanted.active(),
            language=translation.get_language() or "en",
            requester_id=actor.id,
            requester=actor.name,
        )
        log.record(
            actor,
            Act.AUDIT_REQUEST_EXPORT,
            Obj("export", str(made.pk), format),
            changes=as_changes(wanted),
        )
        transaction.on_commit(lambda: wake.export(made.pk))
    return made


def cancel_export(*, actor: Actor, export: Export) -> Export:
    """Ask the worker to stop; one that nobody has begun ends at once."""
    policy.require(actor, Act.AUDIT_CANCEL_EXPORT)
    with transaction.atomic():
        if not runs.cancel(export):
            raise WrongState(_("This export has already ended."))
        log.record(actor, Act.AUDIT_CANCEL_EXPORT, Obj("export", str(export.pk), export.format))
    export.refresh_from_db()
    return export


def fetch_export(*, actor: Actor, export: Export) -> Path:
    """The finished file. Every fetching is an event that has the file's hash."""
    policy.require(actor, Act.AUDIT_FETCH_EXPORT)
    path: Path = settings.EXPORTS / export.stored
    if not export.stored or not path.is_file():
        raise WrongState(_("There is no such file any more: export again."))
    with transaction.atomic():
        log.record(
            actor,
            Act.AUDIT_FETCH_EXPORT,
            Obj("export", str(export.pk), export.format),
            details={"sha256": export.sha256, "size": export.size},
        )
    return path


def discard_exports(*, actor: Actor) -> int:
    """Forget what is older than a day, and files that no row knows (their worker was killed)."""
    policy.require(actor, Act.AUDIT_DISCARD_EXPORTS)
    old = timezone.now() - KEPT
    with transaction.atomic():
        ended = Export.objects.exclude(state__in=UNDER_WAY).filter(finished_at__lt=old)
        count, _each = ended.delete()
        if count:
            log.record(actor, Act.AUDIT_DISCARD_EXPORTS, details={"count": count})
    if settings.EXPORTS.is_dir():
        known = set(Export.objects.exclude(stored="").values_list("stored", flat=True))
        for path in settings.EXPORTS.iterdir():
            if path.name not in known and path.stat().st_mtime < old.timestamp():
                path.unlink(missing_ok=True)
    return count
