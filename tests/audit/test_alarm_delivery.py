"""Messages about alarms: to a real mail server and a real program, signed, once, or later again."""

from __future__ import annotations

import email
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from email import policy as mail_policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Server
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from django.utils import timezone
from pytest_django import Settings

from access.errors import Denied, Invalid
from access.models import User
from audit.ledger.actor import Actor
from audit.ledger.log import Obj
from audit.ledger.models import Event
from audit.office import actions
from audit.office.alarming import delivery, messages, notices, standing, watch
from audit.office.alarming.standing import Finding
from audit.office.models import Alarm, Channel, Notice
from tests.certificates import Authority
from tests.ports import free_port

ActorOf = Callable[[str], Actor]
HOSTILE = "boss\r\nBcc: everybody@example.org\r\n\r\nHello \u202ereversed <b>x</b>"


class Mailbox:
    """Keeps what a mail server was given."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.encrypted: list[bool] = []
        self.rejects = False

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:
        if self.rejects:
            return "451 come again"
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        mail = email.message_from_bytes(content, policy=mail_policy.default)
        self.mails.append((envelope.rcpt_tos, mail))
        self.encrypted.append(session.ssl is not None)
        return "250 OK"


@pytest.fixture
def mailbox(settings: Settings, tmp_path: Path) -> Iterator[Mailbox]:
    """A mail server that demands STARTTLS, under our own authority, and a password."""
    authority, box, port = Authority(tmp_path), Mailbox(), free_port()
    authority.issue("mail", host="localhost")
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "mail.pem", tmp_path / "mail.key")

    def authenticate(
        _server: Any, _session: Any, _envelope: Any, _way: str, data: Any
    ) -> AuthResult:
        fine = isinstance(data, LoginPassword) and data == LoginPassword(b"fusebox", b"secret")
        return AuthResult(success=fine, handled=True)

    controller = Controller(
        box, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True,
        authenticator=authenticate, auth_required=True,
    )  # fmt: skip
    controller.start()
    settings.SMTP_HOST, settings.SMTP_PORT, settings.SMTP_SECURITY = "localhost", port, "starttls"
    settings.SMTP_USER, settings.SMTP_PASSWORD = "fusebox", "secret"
    settings.SMTP_FROM = "Fusebox <fusebox@example.cn>"
    settings.ALARM_CA = str(tmp_path / "ca.pem")
    yield box
    controller.stop()


class Hook:
    """A program that is told of alarms; answers with `status`."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(hook.status)
                if hook.status == 302:
                    self.send_header("Location", "http://169.254.169.254/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alarms?of=fusebox"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def mail_channel(actor_of: ActorOf, mailbox: Mailbox) -> Channel:
    made, _key = actions.add_channel(
        actor=actor_of("audit"), name="Duty", kind="email", address="a@example.cn, b@example.cn"
    )
    return made


@pytest.fixture
def web_channel(actor_of: ActorOf, hook: Hook) -> tuple[Channel, str]:
    return actions.add_channel(
        actor=actor_of("audit"), name="SOC", kind="webhook", address=hook.url, per_hour=60
    )


def alarm(label: str = "node-1", key: str = "cloud_on", pk: str = "1") -> Alarm:
    node = Obj("node", pk, label)
    standing.apply(key, [Finding(node, part="x")], about=node)
    return Alarm.objects.get(subject_id=pk)


def test_an_alarm_arrives_by_e_mail_encrypted_and_in_the_channels_language(
    mail_channel: Channel, mailbox: Mailbox
) -> None:
    Channel.objects.update(language="zh-hans")
    made = alarm()
    assert delivery.deliver_due() == 1
    [(to, mail)] = mailbox.mails
    assert to == ["a@example.cn", "b@example.cn"]
    assert mailbox.encrypted == [True]
    assert mail["Subject"].startswith("[Fusebox] 节点未封闭")
    assert f"/alarms/{made.pk}/" in mail.get_content()
    assert Event.objects.filter(act="alarm.deliver", outcome="success").count() == 1
    assert delivery.deliver_due() == 0, "once"


def test_hostile_names_forge_neither_a_header_nor_a_line(
    mail_channel: Channel, mailbox: Mailbox, web_channel: tuple[Channel, str], hook: Hook
) -> None:
    alarm(HOSTILE)
    assert delivery.deliver_due() == 2
    [(to, mail)] = mailbox.mails
    assert to == ["a@example.cn", "b@example.cn"]
    assert mail["Bcc"] is None
    assert "<U+000D><U+000A>Bcc" in mail["Subject"]
    assert "\u202e" not in mail.get_content()
    [(_headers, body)] = hook.seen
    told = json.loads(body)["alarms"][0]
    assert "\n" not in told["sentence"]
    assert "\u202e" not in body.decode()


def test_a_webhook_is_signed_and_an_old_message_can_be_told(
    web_channel: tuple[Channel, str], hook: Hook
) -> None:
    channel, key = web_channel
    made = alarm()
    assert delivery.deliver_due() == 1
    [(headers, body)] = hook.seen
    signed = f"{headers['x-fusebox-timestamp']}.".encode() + body
    expected = hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["x-fusebox-signature"] == f"v1={expected}"
    assert abs(int(headers["x-fusebox-timestamp"]) - timezone.now().timestamp()) < 300
    assert json.loads(body)["alarms"][0]["id"] == str(made.pk)
    channel.refresh_from_db()
    assert key not in channel.sealed


@pytest.mark.parametrize("status", [500, 302])
def test_what_does_not_arrive_is_tried_again_later_and_given_up_in_the_end(
    web_channel: tuple[Channel, str], hook: Hook, status: int
) -> None:
    hook.status = status
    alarm()
    assert delivery.deliver_due() == 0
    notice = Notice.objects.get()
    assert (notice.state, notice.attempt) == ("waiting", 1)
    assert notice.due_at > timezone.now()
    assert str(status) in notice.problem
    assert delivery.deliver_due() == 0
    assert len(hook.seen) == 1, "not before its time, and nowhere else"
    Notice.objects.update(attempt=delivery.TRIES - 1, due_at=timezone.now())
    delivery.deliver_due()
    notice.refresh_from_db()
    assert notice.state == "failed"
    assert Event.objects.filter(act="alarm.deliver", outcome="failure").count() == 1
    watch.ask("undelivered", watch.LOOKS["undelivered"])
    assert Alarm.objects.filter(rule="undelivered").count() == 1
    hook.status = 204
    notices.test(web_channel[0])
    assert delivery.deliver_due() == 1
    watch.ask("undelivered", watch.LOOKS["undelivered"])
    assert Alarm.objects.get(rule="undelivered").closed_at is not None


def test_a_mail_server_that_refuses_is_tried_again_and_one_that_is_away_too(
    mail_channel: Channel, mailbox: Mailbox, settings: Settings
) -> None:
    mailbox.rejects = True
    alarm()
    delivery.deliver_due()
    assert "451" in Notice.objects.get().problem
    settings.SMTP_PORT = free_port()
    Notice.objects.update(due_at=timezone.now())
    delivery.deliver_due()
    assert "refused" in Notice.objects.get().problem.lower()


def test_a_mail_server_that_cannot_be_trusted_gets_nothing(
    mail_channel: Channel, mailbox: Mailbox, settings: Settings
) -> None:
    settings.ALARM_CA = ""
    alarm()
    delivery.deliver_due()
    assert "certificate" in Notice.objects.get().problem.lower()
    assert mailbox.mails == []


def test_a_message_of_a_killed_worker_is_sent_by_another(
    web_channel: tuple[Channel, str], hook: Hook
) -> None:
    alarm()
    assert delivery._claim(set()) is not None
    assert delivery._claim(set()) is None, "somebody sends it"
    assert delivery.deliver_due() == 0
    Notice.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert delivery.deliver_due() == 1
    assert len(hook.seen) == 1


def test_a_flood_is_summed_up(web_channel: tuple[Channel, str], hook: Hook) -> None:
    Channel.objects.update(per_hour=3)
    for number in range(8):
        alarm(f"node-{number}", pk=str(number))
    assert Notice.objects.filter(kind="alarm").count() == 3
    summary = Notice.objects.get(kind="summary")
    assert len(summary.alarms) == 5
    assert delivery.deliver_due() == 3, "the summary waits for the hour"
    Notice.objects.filter(pk=summary.pk).update(due_at=timezone.now())
    assert delivery.deliver_due() == 1
    assert "5 more alarms" in messages.write(summary).subject


def test_only_severe_alarms_reach_a_channel_that_wants_only_those(
    web_channel: tuple[Channel, str],
) -> None:
    Channel.objects.update(least=5)
    alarm(key="version_old")
    assert not Notice.objects.exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest", "http://8.8.8.8/", "ftp://127.0.0.1/", "http://a b/",
        "http://user:secret@127.0.0.1/", "http://127.0.0.1:99999/", "http://127.0.0.1/\r\nX: y",
        "http://[::ffff:169.254.169.254]/", "http://100.100.100.200/",
    ],
)  # fmt: skip
def test_a_webhook_goes_only_where_it_may(actor_of: ActorOf, url: str) -> None:
    with pytest.raises(Invalid) as refused:
        actions.add_channel(actor=actor_of("audit"), name="x", kind="webhook", address=url)
    assert refused.value.field == "address"
    assert not Channel.objects.exists()


def test_a_name_that_means_something_else_by_now_is_not_followed(
    web_channel: tuple[Channel, str], hook: Hook
) -> None:
    Channel.objects.update(address="http://169.254.169.254/")
    alarm()
    assert delivery.deliver_due() == 0
    assert "metadata" in Notice.objects.get().problem


@pytest.mark.parametrize("address", ["", "no address", "a@b.cn\nBcc: c@d.cn", "a@b.cn,"])
def test_addresses_of_people_are_looked_at(
    actor_of: ActorOf, mailbox: Mailbox, address: str
) -> None:
    try:
        made, _key = actions.add_channel(
            actor=actor_of("audit"), name="x", kind="email", address=address
        )
    except Invalid as refused:
        assert refused.field == "address"
    else:
        assert made.address == "a@b.cn"


def test_only_the_audit_administrator_says_where_alarms_go(
    actor_of: ActorOf, people: dict[str, User], web_channel: tuple[Channel, str], hook: Hook
) -> None:
    channel, _key = web_channel
    for name in ("system", "security", "member"):
        with pytest.raises(Denied):
            actions.add_channel(actor=actor_of(name), name="x", kind="webhook", address=hook.url)
        with pytest.raises(Denied):
            actions.remove_channel(actor=actor_of(name), channel=channel)
        with pytest.raises(Denied):
            actions.test_channel(actor=actor_of(name), channel=channel)


def test_changing_and_removing_are_events_and_addresses_of_people_are_personal(
    actor_of: ActorOf, mail_channel: Channel
) -> None:
    fields: dict[str, Any] = {"language": "en", "least": 4, "per_hour": 5}
    actions.change_channel(
        actor=actor_of("audit"), channel=mail_channel, name="Duty", address="c@example.cn", **fields
    )
    actions.remove_channel(actor=actor_of("audit"), channel=Channel.objects.get())
    for act in ("alarm.add_channel", "alarm.change_channel", "alarm.remove_channel"):
        event = Event.objects.get(act=act)
        assert b"@example.cn" not in bytes(event.leaf), act
