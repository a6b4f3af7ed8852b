"""Celery's shells around the work: they take ids, load or return quietly, and decide nothing."""

from __future__ import annotations

from celery import shared_task

from audit.ledger.actor import Actor
from deployments import actions, fleet, once, own_samples, reconcile, runner, wake
from deployments.models import Node


@shared_task(name=wake.RUN_OPERATION, ignore_result=True)
def run_operation(pk: str) -> None:
    runner.run(pk)


@shared_task(name="deployments.dispatch_forgotten", ignore_result=True, expires=5)
def dispatch_forgotten() -> None:
    """Wake operations that nobody runs: lost by the broker, or their worker was killed."""
    for pk, kind in runner.forgotten():
        wake.now(pk, kind)


@shared_task(name="deployments.check_nodes", ignore_result=True, expires=10)
def check_nodes() -> None:
    """Ask every node how it is, each in a task of its own."""
    for node in Node.objects.all():
        check_node.delay(str(node.pk))


@shared_task(name="deployments.check_node", ignore_result=True, expires=10)
def check_node(pk: str) -> None:
    node = Node.objects.filter(pk=pk).first()
    if node is not None:
        fleet.check(node, prove=True)


@shared_task(name=wake.RECONCILE, ignore_result=True, expires=15)
def reconcile_fleet() -> None:
    """Compare what is wished with what is, and hand every gap to a worker."""
    reconcile.reconcile()


@shared_task(name="deployments.forget_samples", ignore_result=True, expires=300)
def forget_samples() -> None:
    """Texts of one's own that trials were given do not stay."""
    for operation in own_samples.overdue():
        actions.forget_samples(actor=Actor.system("trials"), operation=operation)


@shared_task(name="deployments.discard_stale_uploads", ignore_result=True, expires=600)
def discard_stale_uploads() -> None:
    """Make room: uploads that nobody goes on with, and answers that nobody asks for again."""
    once.forget_old()
    actions.discard_stale_uploads(actor=Actor.system("uploads"))
