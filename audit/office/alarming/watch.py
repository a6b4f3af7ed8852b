"""Asking every rule, by the beat. Each rule has a transaction and a lock of its own: two workers
that ask at once are one, and a rule that fails holds up nobody but itself, and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from audit.office.alarming import house_rules, key_rules, log_rules, standing
from audit.office.alarming.standing import Finding
from audit.office.models import Alarm, AlarmRule

logger = logging.getLogger(__name__)

Look = Callable[[datetime | None], Sequence[Finding]]
# Rules of other rooms are registered when Django starts (`AppConfig.ready`). Those that are not
# here are told of by whoever sees it, through alarming.standing.
LOOKS: dict[str, Look] = {
    "denials": log_rules.denials,
    "lockouts": log_rules.lockouts,
    "off_hours": log_rules.off_hours,
    "new_address": log_rules.new_address,
    "key_use": key_rules.unusual,
    "process_silent": house_rules.process_silent,
    "sealer_late": house_rules.sealer_late,
    "log_not_whole": house_rules.log_not_whole,
    "witness_alarm": house_rules.witness_alarm,
    "outside_late": house_rules.outside_late,
    "disk_low": house_rules.disk_low,
    "undelivered": house_rules.undelivered,
}


def register(key: str, look: Look) -> None:
    LOOKS[key] = look


def ask_all() -> None:
    """Ask every rule. Safe to call twice, and at once."""
    for key, look in LOOKS.items():
        ask(key, look)


def ask(key: str, look: Look) -> bool:
    """Ask one rule; False when another worker asks it just now, or it failed."""
    try:
        with transaction.atomic():
            if not _alone(key):
                return False
            row, _made = AlarmRule.objects.get_or_create(key=key)
            resting = standing.is_resting(key)
            began = timezone.now()
            if not resting:
                standing.apply(key, look(row.looked_at))
            AlarmRule.objects.filter(key=key).update(looked_at=began, problem="")
        return True
    except (DatabaseError, OSError, ValueError) as error:
        logger.exception("the rule %s could not look", key)
        _failed(key, error)
        return False


def _failed(key: str, error: Exception) -> None:
    try:
        AlarmRule.objects.filter(key=key).update(problem=str(error)[:500])
    except DatabaseError:
        logger.warning("that the rule %s failed could not be stored", key)


def _alone(key: str) -> bool:
    """One leader a rule, by a lock that ends with the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"fusebox.alarm.{key}"]
        )
        return bool(cursor.fetchone()[0])


def looked_at() -> datetime | None:
    """When every rule had been asked for the last time; None when some never was."""
    rows = AlarmRule.objects.filter(key__in=LOOKS, looked_at__isnull=False)
    times = list(rows.values_list("looked_at", flat=True))
    return min(t for t in times if t) if len(times) == len(LOOKS) else None


def waiting_for(role_rules: Sequence[str]) -> int:
    """How many alarms wait for a word, of the rules that a role is shown."""
    return Alarm.objects.open().waiting().filter(rule__in=role_rules).count()
