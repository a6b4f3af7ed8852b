"""Celery's shells around the office's work: they load, call and decide nothing."""

from __future__ import annotations

from celery import shared_task

from access import actions as access
from audit.ledger.actor import Actor
from audit.office import actions, erasures, exporting, runs, verifying, wake
from audit.office.alarming import delivery, watch
from audit.office.models import Export, Verification

MOST_BATCHES = 1000


@shared_task(name=wake.RUN_VERIFICATION, ignore_result=True)
def run_verification(pk: str) -> None:
    verifying.run(pk)


@shared_task(name=wake.MAKE_EXPORT, ignore_result=True)
def make_export(pk: str) -> None:
    exporting.run(pk)


@shared_task(name="audit.dispatch_forgotten", ignore_result=True, expires=10)
def dispatch_forgotten() -> None:
    for pk in runs.forgotten(Verification):
        wake.verification(pk)
    for pk in runs.forgotten(Export):
        wake.export(pk)


@shared_task(name="audit.expire_content", ignore_result=True, expires=3600)
def expire_content() -> None:
    actions.expire_content(actor=Actor.system("beat"))


@shared_task(name="audit.erase", ignore_result=True, expires=60)
def erase() -> None:
    """What is due of the erasures of people; after a restore, those that were forgotten."""
    erasures.after_restore()
    erasures.run()


@shared_task(name="audit.verify_nightly", ignore_result=True, expires=3600)
def verify_nightly() -> None:
    """The whole log, every night; the verdict is an event."""
    actions.request_verification(actor=Actor.system("beat"))


@shared_task(name="audit.note_late_witnesses", ignore_result=True, expires=240)
def note_late_witnesses() -> None:
    actions.note_late_witnesses(actor=Actor.system("beat"))


@shared_task(name="audit.discard_exports", ignore_result=True, expires=3600)
def discard_exports() -> None:
    actions.discard_exports(actor=Actor.system("beat"))


@shared_task(name="access.expire_proposals", ignore_result=True, expires=60)
def expire_proposals() -> None:
    access.expire_proposals(actor=Actor.system("beat"))


@shared_task(name="audit.watch", ignore_result=True, expires=30)
def watch_house() -> None:
    """Ask every rule of alarms."""
    watch.ask_all()


@shared_task(name=wake.DELIVER_NOTICES, ignore_result=True, expires=60)
def deliver_notices() -> None:
    delivery.deliver_due()


@shared_task(name="audit.prune", ignore_result=True, expires=3600)
def prune() -> None:
    """What is older than the policy says, a batch a transaction; a killed run goes on tomorrow."""
    actor = Actor.system("beat")
    for _batch in range(MOST_BATCHES):
        if not actions.prune(actor=actor):
            return
