"""Alarms by e-mail, with Django's own SMTP backend and the certificate authority of the house."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from email.utils import parseaddr

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.core.validators import validate_email
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from audit.office.alarming.messages import Message

MOST_PEOPLE = 20
TIMEOUT_S = 20


class NotSent(Exception):
    """It did not arrive; the text says why, fit to be shown."""


class Backend(EmailBackend):
    """Trusts the authority of FUSEBOX_ALARM_CA where there is one, else the machine's own."""

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=settings.ALARM_CA or None)


def checked_addresses(text: str) -> str:
    """Addresses of people, with a comma between them. Raises access.errors.Invalid."""
    found = [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]
    try:
        for address in found:
            validate_email(address)
    except ValidationError as error:
        raise Invalid(
            _("Write e-mail addresses with a comma between them, such as audit@example.cn."),
            field="address",
        ) from error
    if not found or len(found) > MOST_PEOPLE:
        raise Invalid(
            _("Between one and %(most)d addresses, please.") % {"most": MOST_PEOPLE},
            field="address",
        )
    if not settings.SMTP_HOST:
        raise Invalid(
            _("No mail server is known here: set FUSEBOX_SMTP_HOST and start again."),
            field="address",
        )
    return ", ".join(dict.fromkeys(found))


def send(message: Message, people: Sequence[str]) -> None:
    """Raises NotSent."""
    domain = parseaddr(settings.SMTP_FROM)[1].rpartition("@")[2] or "fusebox.invalid"
    mail = EmailMessage(
        message.subject,
        message.text,
        settings.SMTP_FROM,
        list(people),
        # The same message sent again has the same id: a mail server can see that it is.
        headers={"Message-ID": f"<{message.id}@{domain}>", "Auto-Submitted": "auto-generated"},
        connection=_backend(),
    )
    try:
        mail.send()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise NotSent(f"{type(error).__name__}: {error}"[:500]) from error


def _backend() -> Backend:
    return Backend(
        host=settings.SMTP_HOST,
        port=settings.SMTP_PORT,
        username=settings.SMTP_USER,
        password=settings.SMTP_PASSWORD,
        use_tls=settings.SMTP_SECURITY == "starttls",
        use_ssl=settings.SMTP_SECURITY == "tls",
        timeout=TIMEOUT_S,
    )
