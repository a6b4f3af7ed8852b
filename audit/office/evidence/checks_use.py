"""Questions about use and change: requests, models, deployments, what is kept of words."""

from __future__ import annotations

from datetime import timedelta

from django.apps import apps
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.models import Proposal
from access.second_person import acts as second_person_acts
from audit.ledger.acts import Act
from audit.office.alarming.rules import RULES
from audit.office.content import keeping
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
from audit.office.models import (
    Alarm,
    AlarmRule,
    CapturePolicy,
    Channel,
    Content,
    Erasure,
    ErasureState,
)

# The hourly round of the worker, and some patience.
LATE = timedelta(hours=3)
UNANSWERED = timedelta(days=3)


def of_category(*categories: str) -> list[Act]:
    return [act for act in Act if act.category in categories and act.recorded]


def inference() -> Finding:
    admitted, ended = events(Act.INFERENCE_ADMITTED), events(*ENDS)
    return Finding(
        OK,
        say(_("A request is admitted in the log before a model is asked; it has exactly one end.")),
        say(
            _(
                "In 30 days: %(admitted)s admitted, %(ended)s ended, %(refused)s refused. Last:"
                " %(last)s."
            ),
            admitted=count(admitted),
            ended=count(ended),
            refused=count(events(Act.INFERENCE_REFUSED)),
            last=told(newest(events(*ENDS, days=None))),
        ),
    )


ENDS = (Act.INFERENCE_COMPLETED, Act.INFERENCE_ABORTED)


def content() -> Finding:
    """Whose words are kept, who read them, and does anything stay beyond its period?"""
    policies = CapturePolicy.objects.filter(ended_at=None)
    names = ", ".join(
        policies.order_by("deployment_name").values_list("deployment_name", flat=True)
    )
    texts = Content.objects.all()
    late = texts.filter(expires_at__lte=timezone.now() - LATE)
    overdue = keeping.free_content(late).count()
    return Finding(
        RED if overdue else ATTENTION if names or texts.exists() else OK,
        say(_("Kept of prompts and answers: nothing, but where two people decided it (%(names)s)."),
            names=names or _("nowhere")),
        of_acts(
            _(
                "Texts kept: %(texts)s, of them beyond their period: %(overdue)s. Readings agreed"
                " to by two people: %(count)s; last: %(last)s."
            ),
            Act.CONTENT_OPEN,
            days=None,
            texts=texts.count(),
            overdue=overdue,
        ),
    )  # fmt: skip


def erasure() -> Finding:
    """Who was erased, what of them must stay, and is anything overdue?"""
    open_ones = Erasure.objects.exclude(state=ErasureState.DONE)
    overdue = open_ones.filter(due_at__lte=timezone.now() - LATE).count()
    return Finding(
        RED if overdue else OK,
        say(
            _(
                "Two people decide on an erasure: keys of captured words are destroyed, values in"
                " the log are taken away, or restricted while they must stay."
            )
        ),
        of_acts(
            _("%(count)s erasures; restricted: %(waiting)s; overdue: %(overdue)s; last: %(last)s."),
            Act.USER_ERASE,
            days=None,
            waiting=open_ones.filter(state=ErasureState.RESTRICTED).count(),
            overdue=overdue,
        ),
    )


def assessments() -> Finding:
    """The decisions on captured content are a register; of anything else there is none here."""
    decisions = CapturePolicy.objects.all()
    return Finding(
        ATTENTION,
        say(
            _(
                "Each decision to keep content has a purpose, why nothing less will do, and how"
                " people are protected. Assess other processing outside of the product."
            )
        ),
        of_acts(
            _("%(all)s decisions, all kept; changed %(count)s times in 30 days, last: %(last)s."),
            Act.CAPTURE_SET,
            Act.CAPTURE_END,
            all=decisions.count(),
        ),
    )


def labels() -> Finding:
    """Does anything carry a mark of how sensitive it is?"""
    names = [field.name for model in apps.get_models() for field in model._meta.get_fields()]
    found = [name for name in names if name in ("sensitivity", "security_label")]
    return Finding(
        ATTENTION if found else RED,
        say(_("There are no security labels on people or deployments in this version.")),
        say(_("Fields for them in the database: %(count)s."), count=len(found)),
    )


def stops() -> Finding:
    return Finding(
        OK,
        say(_("A deployment is stopped from its page, the API or the command line.")),
        of_acts(
            _("%(count)s stops in all; last: %(last)s."),
            Act.DEPLOYMENT_STOP,
            Act.DEPLOYMENT_STOPPED,
            days=None,
        ),
    )


def changes() -> Finding:
    return Finding(
        OK,
        say(_("A change is a new revision, its event has what was before and after.")),
        of_acts(
            _("%(count)s changes in 30 days; last: %(last)s."),
            Act.DEPLOYMENT_CREATE,
            Act.DEPLOYMENT_CHANGE,
            Act.DEPLOYMENT_ROLLBACK,
            Act.DEPLOYMENT_PLACE,
        ),
    )


def drift() -> Finding:
    found = events(Act.DEPLOYMENT_DRIFT)
    return Finding(
        ATTENTION if found.exists() else OK,
        say(_("What a node serves is compared with the attested digest.")),
        of_acts(_("%(count)s times it was not, in 30 days; last: %(last)s."), Act.DEPLOYMENT_DRIFT),
    )


def model_approval() -> Finding:
    asked = settings.REQUIRE_MODEL_APPROVAL
    return Finding(
        OK if asked else RED,
        say(_("The security administrator approves a model before it may be deployed."))
        if asked
        else say(_("Models need no approval (FUSEBOX_REQUIRE_MODEL_APPROVAL).")),
        of_acts(
            _("%(count)s approvals given or taken back in all; last: %(last)s."),
            Act.MODEL_APPROVE,
            Act.MODEL_REVOKE_APPROVAL,
            days=None,
        ),
    )


def alarms() -> Finding:
    """Do the rules look, does anybody hear of it, and does somebody answer?"""
    resting = AlarmRule.objects.filter(resting=True).values_list("key", flat=True)
    broken = AlarmRule.objects.exclude(problem="").values_list("key", flat=True)
    receivers = Channel.objects.count()
    waiting = Alarm.objects.waiting()
    old = waiting.filter(opened_at__lte=timezone.now() - UNANSWERED).count()
    blind = bool(broken) or len(resting) == len(RULES)
    return Finding(
        RED if blind else ATTENTION if resting or old or not receivers else OK,
        say(
            _(
                "%(rules)s rules with thresholds; resting: %(resting)s; broken: %(broken)s."
                " Receivers outside the console: %(receivers)s."
            ),
            rules=len(RULES),
            resting=", ".join(resting) or _("none"),
            broken=", ".join(broken) or _("none"),
            receivers=receivers,
        ),
        of_acts(
            _(
                "Waiting for a word: %(waiting)s, of them longer than three days: %(old)s. Words"
                " said in 30 days: %(count)s; last: %(last)s."
            ),
            Act.ALARM_ACKNOWLEDGE,
            waiting=waiting.count(),
            old=old,
        ),
    )


def second_person() -> Finding:
    """Must anything be approved by a second person, and is that switched on?"""
    waiting = second_person_acts()
    steps = of_category("proposal")
    if not waiting:
        return Finding(
            RED,
            say(
                _(
                    "No change needs a second person in this version, except the acknowledgement"
                    " of a rollback."
                )
            ),
            of_acts(
                _("Acknowledgements: %(count)s; last: %(last)s."), Act.AUDIT_ACKNOWLEDGE, days=None
            ),
        )
    alone = Proposal.objects.filter(alone=True).count()
    on = settings.SECOND_PERSON
    return Finding(
        RED if not on else ATTENTION if alone else OK,
        say(_("A second person must approve: %(acts)s."), acts=", ".join(waiting))
        if on
        else say(_("The second person is switched off (FUSEBOX_SECOND_PERSON).")),
        of_acts(
            _("%(count)s steps of proposals in 30 days; applied alone: %(alone)s; last: %(last)s."),
            *steps,
            alone=alone,
        ),
    )
