"""Sign-in: success, failure and lock-out are events; the first password is one's own errand."""

from __future__ import annotations

import pytest
from django.test import Client, override_settings

from access.models import User
from audit.ledger.models import Event, Personal

GOOD = "correct horse battery"


@pytest.fixture
def member(people: dict[str, User]) -> User:
    people["member"].set_password(GOOD)
    people["member"].save()
    return people["member"]


def sign_in(client: Client, name: str, password: str) -> int:
    return client.post("/sign-in/", {"username": name, "password": password}).status_code


def events() -> list[tuple[str, str]]:
    return list(
        Event.objects.filter(act__startswith="auth.").order_by("id").values_list("act", "outcome")
    )


def test_signing_in_and_out_are_events(member: User) -> None:
    client = Client()
    assert sign_in(client, "Member", GOOD) == 302
    assert client.get("/chat/").status_code == 200
    client.post("/sign-out/")
    assert client.get("/chat/").status_code == 302
    assert events() == [("auth.login", "success"), ("auth.logout", "success")]


def test_a_wrong_password_is_an_event_that_commits_to_the_name(member: User) -> None:
    assert sign_in(Client(), "member", "wrong") == 422
    assert events() == [("auth.login", "failure")]
    event = Event.objects.get(act="auth.login")
    assert b'"member"' not in bytes(event.leaf).replace(b'"role":"member"', b"")
    assert Personal.objects.get(event=event).values["actor.name"] == "member"
    assert b"wrong" not in bytes(event.leaf).replace(b"wrong user name", b"")


def test_too_many_failures_lock_the_account_from_there(member: User) -> None:
    client = Client()
    for _try in range(5):
        last = sign_in(client, "member", "wrong")
    assert last == 429
    assert sign_in(client, "member", GOOD) == 429
    assert ("auth.lockout", "denied") in events()
    assert sign_in(Client(REMOTE_ADDR="127.0.0.2"), "member", GOOD) == 302


def test_a_service_account_cannot_sign_in(member: User) -> None:
    User.objects.filter(pk=member.pk).update(kind="service")
    assert sign_in(Client(), "member", GOOD) == 422


@override_settings(ENFORCE_FIRST_PASSWORD_CHANGE=True)
def test_a_one_time_password_leads_to_choosing_ones_own(member: User) -> None:
    User.objects.filter(pk=member.pk).update(must_change_password=True)
    client = Client()
    sign_in(client, "member", GOOD)
    assert client.get("/chat/").headers["Location"] == "/account/"
    fields = {"old": GOOD, "new": "staple gun 42 moon", "again": "staple gun 42 moon"}
    assert client.post("/account/", fields).status_code == 302
    assert client.get("/chat/").status_code == 200


def test_a_forged_form_is_refused_and_recorded(member: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(member, backend="access.backends.PersonBackend")
    assert client.post("/account/", {"old": "x"}).status_code == 403
    assert Event.objects.filter(act="authz.denied").count() == 1


def test_the_language_follows_the_browser_and_the_switch() -> None:
    client = Client()
    assert (
        "登录"
        in client.get("/sign-in/", headers={"accept-language": "zh-CN,zh;q=0.9"}).content.decode()
    )
    assert "Sign in" in client.get("/sign-in/", headers={"accept-language": "en"}).content.decode()
    client.post("/language/", {"language": "zh-hans", "next": "/sign-in/"})
    assert "登录" in client.get("/sign-in/", headers={"accept-language": "en"}).content.decode()


def test_pages_carry_the_browsers_walls() -> None:
    headers = Client().get("/sign-in/").headers
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
