"""Questions about use and change: requests, models, deployments, what is kept of words."""

from __future__ import annotations

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _

from access.models import Proposal
from access.second_person import acts as second_person_acts
from audit.ledger.acts import Act
from audit.ledger.models import Personal
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


def known(*names: str) -> list[Act]:
    """Acts by name, as far as this version has them."""
    values = {act.value: act for act in Act}
    return [values[name] for name in names if name in values]


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
    """Is there anywhere that prompts and answers could be kept?"""
    acts = of_category("content", "capture")
    if acts:
        return Finding(
            ATTENTION,
            say(_("Prompts and answers may be kept where a deployment's capture policy says so.")),
            of_acts(
                _(
                    "%(count)s acts on captured content in 30 days; last: %(last)s. Look at each"
                    " policy."
                ),
                *acts,
            ),
        )
    stores = [t for t in connection.introspection.table_names() if "captur" in t]
    return Finding(
        RED if stores else OK,
        say(_("Prompts and answers are not stored: this version has no place for them.")),
        say(
            _("Tables that could hold them: %(count)s. Requests in 30 days: %(requests)s."),
            count=len(stores),
            requests=count(events(Act.INFERENCE_ADMITTED)),
        ),
    )


def erasure() -> Finding:
    """Personal values lie beside the events, with a key each; can somebody be erased?"""
    acts = [act for act in Act if "erase" in act.value]
    setting = (
        _("A person can be erased: the keys are destroyed.")
        if acts
        else _(
            "Personal values lie apart from the events, with a key each. Erasing a person is not"
            " in this version."
        )
    )
    return Finding(
        OK if acts else RED,
        say(setting),
        of_acts(_("%(count)s erasures; last: %(last)s."), *acts, days=None)
        if acts
        else say(
            _("Events with personal values beside them: %(some)s."),
            some=_("yes") if Personal.objects.exclude(key=b"").exists() else _("none"),
        ),
    )


def assessments() -> Finding:
    found = [m for m in apps.get_models() if "assessment" in m.__name__.lower()]
    return Finding(
        ATTENTION if found else RED,
        say(_("There is no register of impact assessments in this version.")),
        say(_("Tables for them in the database: %(count)s."), count=len(found)),
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
    rules = of_category("alarm")
    own = [Act.AUDIT_SINK_DOWN, Act.AUDIT_WITNESS_ALARM, Act.AUDIT_GAP]
    return Finding(
        OK if rules else RED,
        say(_("Rules with thresholds, each alarm with an acknowledgement."))
        if rules
        else say(
            _(
                "Nodes, outside copies and witnesses alarm. Rules with thresholds and"
                " acknowledgements are not in this version."
            )
        ),
        of_acts(_("%(count)s alarms in 30 days; last: %(last)s."), *own, *rules),
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
