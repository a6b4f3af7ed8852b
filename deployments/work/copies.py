"""Copying a model from one node to another, through a registry that we lend to both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop as _

from access.said import say
from deployments import approvals, fleet, inbox, ollama
from deployments.lease import Lease
from deployments.lent import Lent, lent
from deployments.models import Model, Node
from deployments.work.models import asked, node_of, record, transfer

# What travels beside the weights: manifest, template, licence.
EXTRA_BYTES = 64 * 1024 * 1024


def copy_model(lease: Lease) -> None:
    """Fetch from the source, give to the target; every blob is checked by its SHA-256 twice."""
    target, arguments = node_of(lease), lease.operation.arguments
    tag, model = str(arguments["tag"]), Model.objects.filter(digest=arguments["digest"]).first()
    source = Node.objects.filter(pk=arguments["source"]).first()
    if source is None or model is None:
        raise ollama.OllamaError(say(_("The source has been removed meanwhile.")))
    lease.step("check", asked(fleet.api(target)))
    with folder_of(lease, model.size_bytes) as folder:
        fetch(lease, source, tag, folder, model.size_bytes)
        give(lease, target, tag, folder)
    record(lease, target)
    with transaction.atomic():
        copy = Model.objects.filter(stored__node=target, stored__tag=tag).first()
        if copy is not None:
            approvals.carry_over(model, copy)


def fetch(lease: Lease, source: Node, tag: str, folder: Path, size: int) -> None:
    """Have the source push the model into `folder`."""
    lease.step("fetch", say(_("%(tag)s from %(node)s"), tag=tag, node=source.name))
    api = fleet.api(source)
    with lent(folder, source.url, may_write=size + EXTRA_BYTES) as registry:
        api.alias(tag, registry.name)
        with _taken_back(api, registry):
            transfer(lease, api.push(registry.name, insecure=True))
    fleet.check(source)  # the borrowed name is gone from its list again


def give(lease: Lease, target: Node, tag: str, folder: Path) -> None:
    """Have the target pull what is in `folder`, and call it `tag`."""
    lease.step("give", say(_("%(tag)s to %(node)s"), tag=tag, node=target.name))
    api = fleet.api(target)
    with lent(folder, target.url) as registry, _taken_back(api, registry):
        transfer(lease, api.pull(registry.name, insecure=True))
        api.alias(registry.name, tag)


@contextmanager
def folder_of(lease: Lease, size: int) -> Iterator[Path]:
    """A folder for the length of the operation, if there is room."""
    if not inbox.has_room(size):
        raise ollama.OllamaError(say(_("The console's disk has no room for this model.")))
    folder: Path = settings.UPLOADS / f"transfer-{lease.pk}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _taken_back(api: ollama.Node, registry: Lent) -> Iterator[None]:
    """The name of the lent registry is gone from the node afterwards, whatever happened."""
    try:
        yield
    finally:
        with suppress(ollama.OllamaError):
            api.delete(registry.name)
