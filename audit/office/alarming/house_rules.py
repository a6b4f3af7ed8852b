"""Rules that look at the house itself: the sealer, copies outside, processes, disks, messages."""

from __future__ import annotations

import shutil
import socket
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from audit.ledger import waiting
from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.ledger.models import Event, Process, Sealer, SealerState
from audit.office import witnessing
from audit.office.alarming.standing import Finding, values_of
from audit.office.models import (
    Alarm,
    Channel,
    Notice,
    NoticeState,
    OutsideCopy,
    RunState,
    Verification,
)
from audit.office.outside_models import Witness

REMEMBERED = timedelta(days=1)
LOG = Obj("log", settings.FUSEBOX_LOG_ORIGIN, settings.FUSEBOX_LOG_ORIGIN)
CHANGED, MISSING = 1, 2


def sealer_late(_since: datetime | None) -> list[Finding]:
    """Something waits for longer than it may, or the sealer is silent, or has stopped."""
    limit = timedelta(seconds=values_of("sealer_late")["seconds"])
    sealer, now = Sealer.objects.first(), timezone.now()
    waiting_since = waiting.since()
    silent = sealer is not None and now - sealer.beat_at > limit
    stopped = sealer is not None and sealer.state != SealerState.SEALING
    late = waiting_since is not None and now - waiting_since > limit
    if not (silent or stopped or late):
        return []
    since = sealer.beat_at if sealer else waiting_since or now
    facts = {"since": since.isoformat(), "waiting": waiting.count()}
    return [Finding(LOG, facts=facts)]


def log_not_whole(_since: datetime | None) -> list[Finding]:
    """What the last verification that came to an end has found."""
    last = Verification.objects.filter(state=RunState.DONE).first()
    if last is None or last.exit_code not in (CHANGED, MISSING):
        return []
    found = [*last.findings.get("integrity", []), *last.findings.get("completeness", [])]
    return [Finding(LOG, facts={"finding": str(found[0])[:300] if found else ""})]


def outside_late(_since: datetime | None) -> list[Finding]:
    limit = timedelta(minutes=values_of("outside_late")["minutes"])
    found = []
    for copy in OutsideCopy.objects.all():
        late_since = copy.since if copy.problem and copy.since else copy.beat_at
        if timezone.now() - late_since > limit:
            facts = {"since": late_since.isoformat(), "problem": copy.problem[:300]}
            found.append(Finding(Obj("outside", copy.name, copy.address), facts=facts))
    for witness in Witness.objects.filter(revoked_at=None, late_since__isnull=False):
        since = witness.late_since or timezone.now()
        found.append(Finding(_witness(witness), facts={"since": since.isoformat()}))
    return found


def witness_alarm(_since: datetime | None) -> list[Finding]:
    """What witnesses found and nobody has settled."""
    return [
        Finding(_witness(witness), facts={"finding": witness.alarm[:300]})
        for witness in witnessing.alarmed()
    ]


def _witness(witness: Witness) -> Obj:
    return Obj("witness", str(witness.pk), witness.name)


def process_silent(_since: datetime | None) -> list[Finding]:
    """Processes that stopped without their last event; each is told of once."""
    limit = timedelta(seconds=values_of("process_silent")["seconds"])
    now = timezone.now()
    silent = Process.objects.filter(beat_at__lt=now - limit, beat_at__gt=now - REMEMBERED)
    found = []
    for process in silent.order_by("-beat_at")[:100]:
        told = Alarm.objects.filter(rule="process_silent", subject_id=str(process.boot))
        if told.exists() or _ended_well(process):
            continue
        facts = {"since": process.beat_at.isoformat()}
        found.append(Finding(Obj("process", str(process.boot), process.name), facts=facts))
    return found


def _ended_well(process: Process) -> bool:
    return Event.objects.filter(boot=process.boot, act=Act.PROCESS_STOPPED).exists()


def disk_low(_since: datetime | None) -> list[Finding]:
    """The disks under the folders of the worker that looks, each once."""
    least = values_of("disk_low")["percent"]
    found: dict[int, Finding] = {}
    for name, folder in (("data", settings.DATA_DIR), ("exports", settings.EXPORTS)):
        if not folder.is_dir():
            continue
        disk, use = folder.stat().st_dev, shutil.disk_usage(folder)
        percent = use.free * 100 // use.total
        if percent < least and disk not in found:
            place = f"{socket.gethostname()}:{name}"
            facts = {"free": percent, "bytes": use.free}
            found[disk] = Finding(Obj("disk", place, place), facts=facts)
    return list(found.values())


def undelivered(_since: datetime | None) -> list[Finding]:
    """Channels whose newest message has failed often, or was given up."""
    tries = values_of("undelivered")["tries"]
    found = []
    for channel in Channel.objects.all():
        newest = channel.notices.exclude(attempt=0).order_by("-created_at").first()
        if newest is None or newest.state == NoticeState.SENT:
            continue
        if newest.state == NoticeState.FAILED or newest.attempt >= tries:
            waiting = Notice.objects.filter(channel=channel, state=NoticeState.WAITING).count()
            facts = {"problem": newest.problem[:300], "waiting": waiting}
            found.append(Finding(channel.as_obj(), facts=facts))
    return found
