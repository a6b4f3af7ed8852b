"""Celery's shells around the office's work: they load, call and decide nothing."""

from __future__ import annotations

from celery import shared_task

from audit.ledger.actor import Actor
from audit.office import actions, verifying, wake


@shared_task(name=wake.RUN_VERIFICATION, ignore_result=True)
def run_verification(pk: str) -> None:
    verifying.run(pk)


@shared_task(name="audit.dispatch_forgotten", ignore_result=True, expires=10)
def dispatch_forgotten() -> None:
    for pk in verifying.forgotten():
        wake.now(pk)


@shared_task(name="audit.verify_nightly", ignore_result=True, expires=3600)
def verify_nightly() -> None:
    """The whole log, every night; the verdict is an event."""
    actions.request_verification(actor=Actor.system("beat"))
