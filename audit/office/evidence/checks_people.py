"""Questions about people: who administers, how they sign in, what was refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.models import Grant, Key, User
from access.roles import ADMINISTRATORS, ROLE_ACTS, Role
from audit.ledger.acts import Act
from audit.office.evidence.finding import ATTENTION, OK, RED, Finding, of_acts, say

STALE = timedelta(days=90)
IDLE_S = 30 * 60
ATTEMPTS, COOLOFF_H = 5, 0.25


def administrators() -> QuerySet[User]:
    return User.objects.people().filter(role__in=ADMINISTRATORS, is_active=True)


def roles() -> Finding:
    """One role a person, in the database; somebody for each of the three."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_constraint WHERE conname = 'user_role_known' AND convalidated"
        )
        guarded = cursor.fetchone()[0] == 1
    counts = {role: administrators().filter(role=role).count() for role in ADMINISTRATORS}
    return Finding(
        OK if guarded and all(counts.values()) else RED,
        say(_("Three administrators who exclude one another: one column, one role.")),
        of_acts(
            _(
                "System %(system)s, security %(security)s, audit %(audit)s; roles changed"
                " %(count)s times in 30 days, last: %(last)s."
            ),
            Act.USER_SET_ROLE,
            system=counts[Role.SYSTEM],
            security=counts[Role.SECURITY],
            audit=counts[Role.AUDIT],
        ),
    )


def passwords() -> Finding:
    validators: Any = settings.AUTH_PASSWORD_VALIDATORS
    names = " ".join(validator["NAME"] for validator in validators)
    lengths = [
        validator.get("OPTIONS", {}).get("min_length", 8)
        for validator in validators
        if "MinimumLength" in validator["NAME"]
    ]
    strong = bool(lengths) and max(lengths) >= 12 and "CommonPassword" in names
    return Finding(
        ATTENTION if strong else RED,
        say(
            _("At least %(length)s characters, not a common password. No periodic change."),
            length=max(lengths, default=0),
        ),
        of_acts(
            _("Passwords changed or reset %(count)s times in 30 days; last: %(last)s."),
            Act.USER_CHANGE_PASSWORD,
            Act.USER_RESET_PASSWORD,
        ),
    )


def first_passwords() -> Finding:
    waiting = User.objects.people().filter(is_active=True, must_change_password=True)
    asked = settings.ENFORCE_FIRST_PASSWORD_CHANGE
    return Finding(
        RED if not asked else ATTENTION if waiting.exists() else OK,
        say(_("The first password must be changed at the first sign-in."))
        if asked
        else say(_("First passwords need not be changed (FUSEBOX_ENFORCE_FIRST_PASSWORD_CHANGE).")),
        say(
            _("%(count)s active people still have the password they were given."),
            count=waiting.count(),
        ),
    )


def lockout() -> Finding:
    limit, hours = settings.AXES_FAILURE_LIMIT, settings.AXES_COOLOFF_TIME
    return Finding(
        OK if 0 < limit <= ATTEMPTS and hours >= COOLOFF_H else ATTENTION,
        say(
            _("Locked after %(limit)s failures, for %(minutes)s minutes."),
            limit=limit,
            minutes=round(hours * 60),
        ),
        of_acts(_("%(count)s lock-outs in 30 days; last: %(last)s."), Act.AUTH_LOCKOUT),
    )


def idle() -> Finding:
    age = settings.SESSION_COOKIE_AGE
    return Finding(
        OK if 0 < age <= IDLE_S else ATTENTION,
        say(_("A session ends after %(minutes)s idle minutes."), minutes=age // 60),
        of_acts(_("%(count)s sign-ins in 30 days; last: %(last)s."), Act.AUTH_LOGIN),
    )


def tls() -> Finding:
    return Finding(
        OK if settings.BEHIND_TLS else RED,
        say(_("TLS: secure cookies and HSTS are on."))
        if settings.BEHIND_TLS
        else say(_("TLS is off (FUSEBOX_BEHIND_TLS): cookies also go over plain HTTP.")),
        say(
            _("Cookies for TLS only: %(cookies)s. Strict transport: %(seconds)s seconds."),
            cookies=_("yes") if settings.SESSION_COOKIE_SECURE else _("no"),
            seconds=settings.SECURE_HSTS_SECONDS,
        ),
    )


def second_factor() -> Finding:
    """Is there one, and do all administrators have it?"""
    here = apps.is_installed("allauth.mfa")
    return Finding(
        ATTENTION if here else RED,
        say(_("A second factor can be set up."))
        if here
        else say(_("There is no second factor in this version.")),
        say(
            _("%(count)s active administrators sign in with a password alone.")
            if not here
            else _("Whether all of the %(count)s active administrators have one is not asked."),
            count=administrators().count(),
        ),
    )


def stale_accounts() -> Finding:
    since = timezone.now() - STALE
    people = User.objects.people().filter(is_active=True)
    stale = people.filter(Q(last_login__lt=since) | Q(last_login=None, created_at__lt=since))
    never = people.filter(last_login=None)
    return Finding(
        ATTENTION if stale.exists() else OK,
        say(_("Accounts unused for 90 days are to be disabled by hand.")),
        say(
            _(
                "%(stale)s of %(all)s active people unused for 90 days: %(names)s. Never signed in:"
                " %(never)s."
            ),
            stale=stale.count(),
            all=people.count(),
            names=", ".join(p.username for p in stale[:10]) or "–",
            never=never.count(),
        ),
    )


def grants() -> Finding:
    return Finding(
        OK,
        say(_("Nobody may use a deployment without a grant.")),
        of_acts(
            _("%(grants)s grants in force; changed %(count)s times in 30 days, last: %(last)s."),
            Act.GRANT_CREATE,
            Act.GRANT_REVOKE,
            grants=Grant.objects.count(),
        ),
    )


def denials() -> Finding:
    return Finding(
        OK,
        say(_("Every refusal is an event, with who, what and from where.")),
        of_acts(
            _("%(count)s refusals in 30 days; last: %(last)s."),
            Act.AUTHZ_DENIED,
            Act.INFERENCE_REFUSED,
        ),
    )


def keys() -> Finding:
    valid = Key.objects.valid()
    endless = valid.filter(expires_at=None)
    return Finding(
        ATTENTION if endless.exists() else OK,
        say(
            _(
                "Keys are stored as a hash, can have an end, and are refused a second after they"
                " are revoked."
            )
        ),
        of_acts(
            _(
                "%(valid)s keys in force, %(endless)s of them without an end; issued or revoked"
                " %(count)s times in 30 days, last: %(last)s."
            ),
            Act.KEY_ISSUE,
            Act.KEY_REVOKE,
            valid=valid.count(),
            endless=endless.count(),
        ),
    )


def _acts_of(role: Role) -> Finding:
    """What only this office may do, and when it last did."""
    others = frozenset().union(*(acts for other, acts in ROLE_ACTS.items() if other != role))
    own = sorted(act for act in ROLE_ACTS[role] - others if act.recorded)
    return Finding(
        OK if own else RED,
        say(
            _(
                "%(own)s acts are this office's alone, by name and one door for pages, API and"
                " commands."
            ),
            own=len(own),
        ),
        of_acts(_("%(count)s of them in 30 days; last: %(last)s."), *own),
    )


def acts_of_system() -> Finding:
    return _acts_of(Role.SYSTEM)


def acts_of_security() -> Finding:
    return _acts_of(Role.SECURITY)


def acts_of_audit() -> Finding:
    return _acts_of(Role.AUDIT)
