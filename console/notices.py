"""Nobody's words are kept who was told something else, or nothing: pages say which notice they
showed, and are refused when another is in force."""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext as _

from audit.office.content.terms import in_force
from gateway.wire.openai import ApiError

HEADER = "X-Fusebox-Notice"


def unread(deployment: UUID, told: object) -> ApiError | None:
    """The refusal for a page that showed the notice `told`, an id, or none; None when all is well.

    What was promised and is kept no more hurts nobody.
    """
    now = in_force(deployment)
    if now is None or str(now.pk) == told:
        return None
    return ApiError(
        409,
        "notice_changed",
        _("What is kept of prompts and answers here has changed. Reload the page and read it."),
    )
