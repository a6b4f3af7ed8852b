"""Idempotency keys: the same creating call twice does it once and gets the same answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid, WrongState
from deployments.models import Answered

MAX_KEY = 200
KEEP = timedelta(hours=24)


def answer(
    *, caller: str, key: str, asked: object, work: Callable[[], tuple[int, Any]]
) -> tuple[int, Any]:
    """(status, body) of `work`, or of the time when this caller asked the same under this key.

    A second call that comes while the first is under way waits for it; one that was refused left
    nothing behind and is tried again.
    """
    if not key.isprintable() or len(key) > MAX_KEY:
        raise Invalid(_("An Idempotency-Key has 1 to 200 printable characters."))
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"once {caller} {key}"]
            )
        before = Answered.objects.filter(caller=caller, key=key).first()
        if before is not None:
            if before.asked_sha256 != digest:
                raise WrongState(_("This Idempotency-Key was used for another request."))
            return before.status, before.body
        status, body = work()
        plain = json.loads(json.dumps(body, cls=DjangoJSONEncoder))
        Answered.objects.create(
            caller=caller, key=key, asked_sha256=digest, status=status, body=plain
        )
    return status, body


def forget_old() -> None:
    Answered.objects.filter(created_at__lt=timezone.now() - KEEP).delete()
