"""What happened to one thing: for the page of that thing, not a search of the log."""

from __future__ import annotations

from collections.abc import Sequence

from audit.ledger.acts import Act
from audit.ledger.models import Event
from audit.office.reading import Reading

SHOWN = 10


def of(kind: str, object_id: str) -> list[Reading]:
    """The newest events about a `node`, `model`, `deployment` or `operation`, newest first.

    Act by act, each by its index: what requests did with it, which may be millions, is not read.
    """
    acts = [act for act in Act if act.recorded and act.value.split(".")[0] == kind]
    first, *others = [
        Event.objects.filter(act=act, object_id=object_id).order_by("-id").values("id")[:SHOWN]
        for act in acts
    ]
    ids = [row["id"] for row in first.union(*others, all=True).order_by("-id")[:SHOWN]]
    rows = Event.objects.filter(pk__in=ids).select_related("personal").order_by("-id")
    return [Reading(event) for event in rows]


def newest(acts: Sequence[Act], most: int) -> list[Reading]:
    """The newest events of some acts, newest first, each act by its index."""
    first, *others = [
        Event.objects.filter(act=act).order_by("-id").values("id")[:most] for act in acts
    ]
    ids = [row["id"] for row in first.union(*others, all=True).order_by("-id")[:most]]
    rows = Event.objects.filter(pk__in=ids).select_related("personal").order_by("-id")
    return [Reading(event) for event in rows]
