"""One queue a node, with a bounded number of transfers at once."""

from __future__ import annotations

import shlex
from datetime import timedelta

import pytest
import yaml
from django.utils import timezone
from pytest_django import Settings

from console import celeryconfig
from console.embedded import programs
from deployments import lease, wake
from deployments.models import TRANSFERS, Node, Operation, OperationKind
from tests.architecture.source import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(settings: Settings) -> list[Operation]:
    """Three pulls to one node, in this order; two may run."""
    settings.NODE_TRANSFERS = 2
    node = Node.objects.create(name="n", url="http://127.0.0.1:9")
    now = timezone.now()
    return [
        Operation.objects.create(
            kind="pull", subject=str(n), node=node, created_at=now + timedelta(seconds=n)
        )
        for n in range(3)
    ]


def test_no_more_than_the_limit_run_at_a_node(waiting: list[Operation]) -> None:
    got = [lease.claim(str(operation.pk)) is not None for operation in waiting]
    assert got == [True, True, False]


def test_the_queue_keeps_its_order(waiting: list[Operation]) -> None:
    assert lease.claim(str(waiting[2].pk)) is None
    assert waiting[2].ahead == 2


def test_the_next_begins_when_one_has_ended(waiting: list[Operation]) -> None:
    for operation in waiting[:2]:
        lease.claim(str(operation.pk))
    Operation.objects.filter(pk=waiting[0].pk).update(state="succeeded")
    assert lease.next_in_line(waiting[0]) == [str(waiting[2].pk)]
    assert lease.claim(str(waiting[2].pk)) is not None


def test_another_node_has_a_queue_of_its_own(waiting: list[Operation]) -> None:
    other = Node.objects.create(name="o", url="http://127.0.0.1:10")
    there = Operation.objects.create(kind="pull", subject="x", node=other)
    for operation in waiting:
        lease.claim(str(operation.pk))
    assert lease.claim(str(there.pk)) is not None


def test_a_deployment_does_not_wait_behind_transfers(waiting: list[Operation]) -> None:
    for operation in waiting:
        lease.claim(str(operation.pk))
    stop = Operation.objects.create(kind="stop", subject="d", node=waiting[0].node)
    assert lease.claim(str(stop.pk)) is not None


def test_one_cancelled_while_waiting_ends_at_once(waiting: list[Operation]) -> None:
    Operation.objects.filter(pk=waiting[2].pk).update(cancel_requested_at=timezone.now())
    assert lease.claim(str(waiting[2].pk)) is not None


def test_transfers_keep_nothing_else_waiting() -> None:
    """Each kind of work has its queue, and each queue its workers, here and in production."""
    kinds = {kind: wake.queue_of(kind) for kind in OperationKind}
    assert {k for k, queue in kinds.items() if queue == wake.TRANSFERS_QUEUE} == {
        *TRANSFERS,
        OperationKind.EXPORT,
    }
    wanted = {celeryconfig.task_default_queue, *kinds.values()}
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    commands = [shlex.split(compose[name]["command"]) for name in programs.WORKERS]
    for worked in (programs.WORKERS.values(), commands):
        assert {words[words.index("--queues") + 1] for words in worked} == wanted
