"""The steps of each kind of operation, in order, with their names for people."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from deployments.models import OperationKind

TITLES: dict[str, str | Promise] = {
    "check": _("Ask the node"),
    "create": _("Make the revision on the node"),
    "load": _("Load the model into memory"),
    "probe": _("Ask it something and read the answer"),
    "publish": _("Open it to those who have a grant"),
    "drain": _("Answer what is under way"),
    "unload": _("Take the model out of memory"),
    "remove": _("Remove the revision from the node"),
    "make": _("Make the model on the node"),
    "fetch": _("Fetch the model from the node that has it"),
    "give": _("Give the model to the node"),
    "verify": _("Compute the checksums"),
    "upload": _("Send the file to the node"),
    "pull": _("Pull the model"),
    "stopping": _("Make sure that the node has stopped"),
    "sign": _("Write and sign the bundle"),
    "try": _("Ask the samples and look at the answers"),
    "record": _("Write it into the catalogue"),
}

ROLL_OUT = ("check", "create", "load", "probe", "publish", "drain", "unload", "remove")
STEPS: dict[str, tuple[str, ...]] = {
    OperationKind.DEPLOY: ("check", "create", "load", "probe", "publish"),
    OperationKind.ROLL_OUT: ROLL_OUT,
    OperationKind.REPAIR: ROLL_OUT,
    OperationKind.STOP: ("drain", "unload"),
    OperationKind.DELETE: ("drain", "remove"),
    OperationKind.IMPORT: ("check", "verify", "upload", "make", "record"),
    OperationKind.COPY: ("check", "fetch", "give", "record"),
    OperationKind.EXPORT: ("fetch", "sign"),
    OperationKind.UNPACK: ("verify", "give", "record"),
    OperationKind.PULL: ("check", "pull", "record"),
    OperationKind.TRY: ("check", "try"),
}
