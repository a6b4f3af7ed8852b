"""Unusual use of a key, against its own past.

The statistic: requests in the hour that runs, against the median of the hours of the last 14 days
in which the key was used at all. Hours without requests do not count, so that a key that is used
once a night is compared with its nights. Each request is read once: hours are added up in KeyHour.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median

from django.db.models import Count, F
from django.utils import timezone

from access.models import Key
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event
from audit.office.alarming.standing import Finding, last_closed, values_of
from audit.office.models import AlarmRule, KeyHour
from audit.office.search import first_id

PAST = timedelta(days=14)
HOUR = timedelta(hours=1)
# Requests of the last moments may still be on their way into the database.
SETTLED = timedelta(seconds=30)
# Counted in pieces, so that one look is short however much there is to catch up with.
PIECE = timedelta(minutes=10)
PIECES = 36


def unusual(_since: datetime | None) -> list[Finding]:
    """Keys that are used far more than they are used to. Also adds up what is new."""
    row, _made = AlarmRule.objects.select_for_update().get_or_create(key="key_use")
    now = _counted(row)
    return _judged(now)


def _counted(row: AlarmRule) -> datetime:
    """Add up what came since; up to when everything is counted. In one transaction with the row
    that says so, so that nothing is counted twice."""
    ready = timezone.now() - SETTLED
    text = str(row.seen.get("counted_to", ""))
    start = datetime.fromisoformat(text) if text else ready - PAST
    start = max(start, ready - PAST)
    for _piece in range(PIECES):
        if start >= ready:
            break
        # A piece ends with the hour, so that it belongs to one.
        end = min(start + PIECE, _hour(start) + HOUR, ready)
        _add(start, end)
        start = end
    row.seen = {**row.seen, "counted_to": start.isoformat()}
    row.save(update_fields=["seen"])
    KeyHour.objects.filter(hour_at__lt=ready - PAST - HOUR).delete()
    return start


def _add(start: datetime, end: datetime) -> None:
    admitted = Event.objects.filter(
        act=Act.INFERENCE_ADMITTED, id__gte=first_id(start), id__lt=first_id(end)
    ).exclude(key_id="")
    for key, count in admitted.order_by().values_list("key_id").annotate(n=Count("id")):
        hour, made = KeyHour.objects.get_or_create(
            key_id=key, hour_at=_hour(start), defaults={"requests": count}
        )
        if not made:
            KeyHour.objects.filter(pk=hour.pk).update(requests=F("requests") + count)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _judged(now: datetime) -> list[Finding]:
    limits, hour = values_of("key_use"), _hour(now)
    found = []
    busy = KeyHour.objects.filter(hour_at=hour, requests__gte=limits["least"])
    for key, requests in busy.values_list("key_id", "requests"):
        past = KeyHour.objects.filter(key_id=key, hour_at__lt=hour, hour_at__gte=hour - PAST)
        used = list(past.values_list("requests", flat=True))
        if len(used) < limits["hours"]:
            continue
        middle = int(median(used))
        if requests < max(limits["least"], limits["factor"] * middle):
            continue
        subject = _key(key)
        judged = last_closed("key_use", subject)
        if judged is None or judged < hour:
            facts = {"requests": requests, "median": middle, "hours": len(used)}
            found.append(Finding(subject, facts={**facts, "hour": hour.isoformat()}))
    return found


def _key(pk: str) -> Obj:
    key = Key.objects.filter(pk=pk).first()
    return Obj("key", pk, str(key) if key else "")
