"""The terms of a capture policy, and which policy is in force."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from audit.office.content.models import MOST_DAYS, CapturePolicy

MAX_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be kept and why; the assessment of its impact is `necessity` and `protection`."""

    purpose: str
    necessity: str
    protection: str = ""
    prompt: bool = True
    answer: bool = True
    percent: int = 100
    days: int = 30

    def checked(self) -> Terms:
        """Raises Invalid that names the field."""
        if not (self.prompt or self.answer):
            raise Invalid(_("Choose prompts, answers or both."), field="prompt")
        if not 1 <= self.percent <= 100:
            raise Invalid(_("Give a share from 1 to 100 percent."), field="percent")
        most = min(settings.CONTENT_MAX_DAYS, MOST_DAYS)
        if not 1 <= self.days <= most:
            raise Invalid(
                _("Content may be kept for 1 to %(most)d days.") % {"most": most}, field="days"
            )
        for name, most_letters in (("purpose", 500), ("necessity", MAX_TEXT)):
            if not getattr(self, name).strip():
                raise Invalid(_("Say it in your own words: people will read it."), field=name)
            if len(getattr(self, name)) > most_letters:
                raise Invalid(_("This is too long."), field=name)
        if len(self.protection) > MAX_TEXT:
            raise Invalid(_("This is too long."), field="protection")
        return self


def in_force(deployment_id: UUID) -> CapturePolicy | None:
    return CapturePolicy.objects.filter(deployment_id=deployment_id, ended_at=None).first()
