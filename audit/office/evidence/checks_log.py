"""Questions to the log itself: is it on, whole, sealed, kept, and known outside?"""

from __future__ import annotations

import os
from datetime import timedelta

import psycopg
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.ledger import guards, waiting
from audit.ledger.acts import Act
from audit.ledger.connection import conninfo
from audit.ledger.models import Event, Leaf, Sealer, SealerState
from audit.ledger.report import FINE, INCOMPLETE, TAMPERED
from audit.office import retention, search
from audit.office.evidence.finding import (
    ATTENTION,
    OK,
    RED,
    Finding,
    count,
    events,
    newest,
    of_acts,
    say,
    told,
)
from audit.office.models import SILENT, Hold, OutsideCopy, RunState, Verification
from audit.office.outside_models import TimeStamp, Witness
from audit.office.reading import OUTCOME_NAMES

FRESH = timedelta(hours=48)
SEALER_STATES: dict[str, str | Promise] = {
    SealerState.SEALING: _("sealing"),
    SealerState.ROLLBACK: _("set back"),
    SealerState.BROKEN: _("broken"),
}
REQUIRED = ("act", "outcome", "at", "actor_kind", "leaf")


def always_on() -> Finding:
    """An event of now: this very pack is one, so the log takes what it is given."""
    sealer = Sealer.objects.first()
    size = sealer.size if sealer else 0
    first = Event.objects.order_by("id").first()
    return Finding(
        OK if first else RED,
        say(_("No setting switches the log off: no event, no change, no answer.")),
        say(
            _("%(size)s events sealed, %(waiting)s waiting. First: %(first)s. Last: %(last)s."),
            size=size,
            waiting=waiting.count(),
            first=told(first),
            last=told(Event.objects.order_by("-id").first()),
        ),
    )


def fields() -> Finding:
    """Whether the database insists on what every record must have."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'ledger_event'"
            " AND is_nullable = 'NO'"
        )
        required = {name for (name,) in cursor.fetchall()}
    lacking = [name for name in REQUIRED if name not in required]
    last = Event.objects.order_by("-id").first()
    return Finding(
        RED if lacking else OK,
        say(_("The database refuses an event without time, actor, act and outcome.")),
        say(
            _("Required columns: %(columns)s. Last event: %(act)s, %(outcome)s, %(last)s."),
            columns=", ".join(n for n in REQUIRED if n in required),
            act=last.act if last else "–",
            outcome=OUTCOME_NAMES.get(last.outcome, last.outcome) if last else "–",
            last=told(last),
        ),
    )


def append_only() -> Finding:
    """Ask the database which rights the roles have, and whether the triggers stand."""
    with psycopg.connect(conninfo(), application_name="fusebox-evidence") as asked:
        missing = guards.missing(asked)
        row = asked.execute("SELECT current_user").fetchone()
    verdict = RED if missing else OK
    return Finding(
        verdict,
        say(
            _(
                "The console signs in as %(role)s, which may add events and read them, and have"
                " nothing taken away but what retention and erasure account for."
            ),
            role=str(row and row[0]),
        ),
        say(_("Triggers and rights asked of the database: all stand."))
        if not missing
        else say(
            _("Asked of the database: %(count)s guards are gone: %(first)s."),
            count=len(missing),
            first=missing[0],
        ),
    )


def verified() -> Finding:
    """What the last verification of the whole found, and when."""
    last = Verification.objects.filter(state=RunState.DONE).order_by("-created_at").first()
    event = newest(events(Act.AUDIT_VERIFY, days=None))
    if event is None:
        setting = say(_("Verified every night, and whenever the audit administrator asks."))
        return Finding(RED, setting, say(_("The log has never been verified yet.")))
    code = last.exit_code if last else None
    bad = event.outcome != "success" or code in (TAMPERED, INCOMPLETE)
    old = timezone.now() - event.at > FRESH
    return Finding(
        RED if bad else ATTENTION if old or code not in (None, FINE) else OK,
        say(_("Verified every night, and whenever the audit administrator asks.")),
        say(
            _("Last verification: %(outcome)s, %(last)s."),
            outcome=OUTCOME_NAMES.get(event.outcome, event.outcome),
            last=told(event),
        ),
    )


def sealer() -> Finding:
    row = Sealer.objects.first()
    if row is None:
        setting = say(_("The sealer has its own process, database role and key."))
        return Finding(RED, setting, say(_("The sealer has never run.")))
    silent = timezone.now() - row.beat_at > SILENT
    own_key = _key_is_here()
    bad = silent or row.state != SealerState.SEALING
    where = (
        _("The sealer's key lies on this same machine, readable by the console's own user.")
        if own_key
        else _("The sealer's key cannot be read from here.")
    )
    return Finding(
        RED if bad or own_key else OK,
        say(where),
        say(
            _("State %(state)s, heard of at %(beat)s UTC, %(size)s events sealed."),
            state=SEALER_STATES.get(row.state, row.state),
            beat=f"{row.beat_at:%Y-%m-%d %H:%M:%S}",
            size=row.size,
        ),
    )


def _key_is_here() -> bool:
    """Whether whoever takes over this process could sign."""
    try:
        return any(os.access(path, os.R_OK) for path in settings.SEALER_DIR.glob("key-*.pem"))
    except OSError:
        return False


def interruptions() -> Finding:
    gaps = events(Act.AUDIT_GAP)
    found = gaps.exists()
    return Finding(
        ATTENTION if found else OK,
        say(_("Every interruption of sealing is an event when it ends.")),
        of_acts(_("%(count)s in the last 30 days; the last one ever: %(last)s."), Act.AUDIT_GAP),
    )


def outside() -> Finding:
    """Is there a copy outside that is kept just now? Time alone is no copy."""
    copies = [c for c in OutsideCopy.objects.exclude(name="tsa") if c.confirmed_at]
    kept = [c for c in copies if not c.problem and not c.is_silent]
    witnesses = Witness.objects.filter(revoked_at=None)
    since = timezone.now() - timedelta(hours=settings.WITNESS_LATE_HOURS)
    seen = witnesses.filter(confirmed_at__gte=since, alarm="")
    alarmed = witnesses.exclude(alarm="").exists()
    good = len(kept) + seen.count()
    late = len(copies) - len(kept) + witnesses.count() - seen.count()
    verdict = RED if alarmed or not good else ATTENTION if late else OK
    heads = [c.size for c in kept] + [w.size for w in seen]
    return Finding(
        verdict,
        say(_("Copies outside that are kept: %(good)s; late: %(late)s."), good=good, late=late),
        say(
            _("Confirmed outside up to event %(size)s: %(who)s. Archives made: %(archives)s."),
            size=max(heads, default=0),
            who=", ".join([c.name for c in kept] + [w.name for w in seen]) or "–",
            archives=count(events(Act.AUDIT_EXPORT, days=None).filter(object_label="bundle")),
        ),
    )


def siem() -> Finding:
    """A logically separate system has every event."""
    row = OutsideCopy.objects.filter(name="siem").first()
    if row is None:
        return Finding(
            RED,
            say(_("No SIEM is configured (FUSEBOX_SYSLOG_URL).")),
            say(_("No event was ever confirmed by one.")),
        )
    bad = bool(row.problem) or row.is_silent
    return Finding(
        RED if bad else OK,
        say(_("Forwarded over TLS to %(address)s."), address=row.address),
        say(_("Confirmed up to event %(position)s."), position=row.position),
    )


def time_stamps() -> Finding:
    last = TimeStamp.objects.order_by("-at").first()
    fresh = last is not None and timezone.now() - last.at < FRESH
    return Finding(
        OK if fresh else ATTENTION,
        say(_("Time-stamp authority: %(where)s."), where=_address(settings.TSA_URL)),
        say(
            _("%(count)s time-stamps; the last says %(at)s UTC, over %(size)s events."),
            count=TimeStamp.objects.count(),
            at=f"{last.at:%Y-%m-%d %H:%M:%S}" if last else "–",
            size=last.size if last else 0,
        ),
    )


def _address(url: str) -> str:
    """Without what may be a password in it."""
    return url.rpartition("@")[2] or "–"


def kept_long_enough() -> Finding:
    """The policy in force against the floors, and the oldest event that is there."""
    first_leaf = Leaf.objects.filter(tree=1, position=0).first()
    first = Event.objects.filter(pk=first_leaf.event_id).first() if first_leaf else None
    oldest = first or Event.objects.order_by("id").first()
    age = timezone.now() - oldest.at if oldest else timedelta(0)
    rule, floor = retention.policy(), retention.floor()
    kept = rule.days >= floor and rule.outside_days >= retention.OUTSIDE_FLOOR
    good = kept and (first is not None or age >= timedelta(days=floor))
    return Finding(
        OK if good else RED,
        say(
            _(
                "Kept %(days)s days, exports and what was sent outside %(outside)s; never less than"
                " %(floor)s and %(outside_floor)s. Holds in force: %(holds)s."
            ),
            days=rule.days,
            outside=rule.outside_days,
            floor=floor,
            outside_floor=retention.OUTSIDE_FLOOR,
            holds=Hold.objects.filter(released_at=None).count(),
        ),
        of_acts(
            _(
                "The very first event is there, %(age)s days old: %(oldest)s. Removals so far:"
                " %(count)s; last: %(last)s."
            )
            if first
            else _(
                "The oldest event is %(age)s days old: %(oldest)s. Removals so far: %(count)s;"
                " last: %(last)s."
            ),
            Act.AUDIT_PRUNE,
            days=None,
            age=age.days,
            oldest=told(oldest),
        ),
    )


def backup() -> Finding:
    """No question can be asked: the product does not see the backups of its database."""
    return Finding(
        ATTENTION,
        say(_("Backups are made by whoever runs the database; the product does not see them.")),
        say(
            _("Show the last restored backup. Rollbacks acknowledged so far: %(count)s."),
            count=count(events(Act.AUDIT_ACKNOWLEDGE, days=None)),
        ),
    )


def clock() -> Finding:
    found = events(Act.AUDIT_CLOCK_STEP).exists()
    return Finding(
        ATTENTION if found else OK,
        say(_("Times are stored in UTC; shown in %(zone)s."), zone=settings.TIME_ZONE),
        of_acts(
            _("The clock was set back %(count)s times in 30 days; last: %(last)s."),
            Act.AUDIT_CLOCK_STEP,
        ),
    )


def writers() -> Finding:
    """Which processes wrote lately."""
    since = timezone.now() - timedelta(days=1)
    found = Event.objects.filter(id__gte=search.first_id(since)).exclude(writer="")
    names = sorted(set(found.order_by("-id").values_list("writer", flat=True)[:5000]))
    kinds = sorted({name.partition("@")[0] for name in names})
    hosts = {name.partition("@")[2].partition("/")[0] for name in names}
    return Finding(
        OK if names else ATTENTION,
        say(_("Every process writes into the one log.")),
        say(
            _("In the last day: %(kinds)s; processes: %(processes)s, machines: %(hosts)s."),
            kinds=", ".join(kinds) or "–",
            processes=len(names),
            hosts=len(hosts),
        ),
    )


def hash_profile() -> Finding:
    gm = settings.LOG_HASH == "sm3"
    return Finding(
        ATTENTION if gm else RED,
        say(
            _("The log's hash is %(hash)s."),
            hash="SM3" if gm else "SHA-256",
        ),
        say(
            _(
                "Heads are signed with Ed25519. No certified cryptographic module (SM2) signs them"
                " in this version."
            )
        ),
    )


def exports() -> Finding:
    return Finding(
        OK,
        say(_("Each export names who, when, which filter, how many events.")),
        of_acts(_("%(count)s exports in all; the last: %(last)s."), Act.AUDIT_EXPORT, days=None),
    )
