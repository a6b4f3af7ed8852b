"""Captured content: two people begin it, break-glass reads it, its period ends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from access import actions as access
from access.errors import Denied, Invalid, Missing, WrongState
from access.models import Proposal, User
from audit.ledger.actor import Actor
from audit.ledger.identifiers import uuid7
from audit.ledger.models import Event
from audit.office import actions
from audit.office.actions.content import Wish
from audit.office.content import cipher, store
from audit.office.content.keys import KeyGone
from audit.office.content.terms import Terms, in_force
from audit.office.models import CapturePolicy, Content, Opening
from deployments.models import Deployment

ActorOf = Callable[[str], Actor]
DEPLOYMENT = UUID("00000000-0000-4000-8000-00000000000d")
TERMS = Terms(purpose="Find out why answers are wrong", necessity="Nothing less shows it", days=7)


@pytest.fixture(autouse=True)
def keys(settings: Settings, tmp_path: Path) -> Path:
    settings.CONTENT_KEYS = tmp_path / "keys"
    return tmp_path / "keys"


def ask(actor_of: ActorOf, terms: Terms = TERMS) -> Proposal:
    return actions.request_capture(
        actor=actor_of("security"),
        deployment_id=DEPLOYMENT,
        deployment_name="claims",
        terms=terms,
        reason="complaints",
    )


@pytest.fixture
def policy(actor_of: ActorOf) -> CapturePolicy:
    access.approve(actor=actor_of("audit"), proposal=ask(actor_of))
    found = in_force(DEPLOYMENT)
    assert found is not None
    return found


def keep(policy: CapturePolicy, person: User, prompt: str = "a secret of mine") -> Content:
    """What a gateway stores."""
    pk, now = uuid7(), timezone.now()
    row = Content(
        id=pk, deployment_id=policy.deployment_id, person_id=person.pk, policy=policy,
        day=now.date(), expires_at=now + timedelta(days=policy.days), size=1,
    )  # fmt: skip
    outer = store.keys().made(store.scope_of(row))
    turns = orjson.dumps([{"role": "user", "content": prompt}]).decode()
    plain = orjson.dumps({"prompt": turns, "answer": "So it is."})
    sealed, _own = cipher.wrap(cipher.AES, outer, plain, pk.bytes)
    row.cipher, row.wrapped, row.body = sealed.cipher, sealed.wrapped, sealed.body
    row.save(force_insert=True)
    return row


def opened(actor_of: ActorOf) -> Opening:
    now = timezone.now()
    wish = Wish(DEPLOYMENT, "claims", now - timedelta(days=1), now + timedelta(hours=1))
    asked = actions.request_opening(actor=actor_of("audit"), wish=wish, reason="case 7")
    access.approve(actor=actor_of("security"), proposal=asked)
    return Opening.objects.latest("opened_at")


def acts() -> list[str]:
    return list(Event.objects.order_by("id").values_list("act", flat=True))


# --- the policy -----------------------------------------------------------------------------------


def test_two_people_begin_it_and_the_register_keeps_who_and_why(
    policy: CapturePolicy, people: dict[str, User]
) -> None:
    assert (policy.proposer_id, policy.approver_id) == (people["security"].pk, people["audit"].pk)
    assert policy.purpose == TERMS.purpose
    event = Event.objects.get(act="capture.set")
    leaf = orjson.loads(bytes(event.leaf))
    assert {"field": "days", "old": None, "new": 7} in leaf["chg"]
    assert leaf["appr"]["approver"] == str(people["audit"].pk)


def test_nobody_approves_what_they_asked_for(actor_of: ActorOf) -> None:
    asked = ask(actor_of)
    with pytest.raises(Invalid):
        access.approve(actor=actor_of("security"), proposal=asked)
    assert in_force(DEPLOYMENT) is None


def test_the_database_wants_two_people(people: dict[str, User]) -> None:
    who = people["security"].pk
    with pytest.raises(IntegrityError, match="capture_by_two_people"), transaction.atomic():
        CapturePolicy.objects.create(
            deployment_id=DEPLOYMENT, deployment_name="d", purpose="p", necessity="n",
            prompt=True, answer=True, percent=1, days=1, proposer_id=who, approver_id=who,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"), [("days", 31), ("days", 0), ("percent", 0), ("purpose", " ")]
)
def test_terms_have_bounds(actor_of: ActorOf, field: str, value: object) -> None:
    values = {"purpose": "p", "necessity": "n", field: value}
    with pytest.raises(Invalid) as refused:
        ask(actor_of, Terms(**values))  # type: ignore[arg-type]
    assert refused.value.field == field


def test_a_change_ends_what_was_in_force(policy: CapturePolicy, actor_of: ActorOf) -> None:
    changed = Terms(purpose="Another", necessity="n", answer=False)
    access.approve(actor=actor_of("audit"), proposal=ask(actor_of, changed))
    policy.refresh_from_db()
    now = in_force(DEPLOYMENT)
    assert policy.ended_at is not None
    assert now is not None and (now.purpose, now.answer) == ("Another", False)


def test_ending_needs_nobody_else(policy: CapturePolicy, actor_of: ActorOf) -> None:
    actions.end_capture(actor=actor_of("security"), capture=policy)
    assert in_force(DEPLOYMENT) is None
    assert acts()[-1] == "capture.end"
    with pytest.raises(WrongState):
        actions.end_capture(actor=actor_of("audit"), capture=policy)


@pytest.mark.parametrize("who", ["system", "member", "audit"])
def test_others_cannot_ask_for_it(actor_of: ActorOf, who: str) -> None:
    with pytest.raises(Denied):
        actions.request_capture(
            actor=actor_of(who), deployment_id=DEPLOYMENT, deployment_name="claims", terms=TERMS,
            reason="r",
        )  # fmt: skip


def test_nobody_is_kept_who_was_not_told(
    policy: CapturePolicy, people: dict[str, User], client_of: Callable[[str], Client]
) -> None:
    made = Deployment.objects.create(id=DEPLOYMENT, name="claims", state="live")
    access.grant(
        actor=Actor.system("tests"), deployment_id=made.pk, deployment_name="claims",
        user=people["member"],
    )  # fmt: skip
    client = client_of("member")
    page = client.get(f"/deployments/{made.pk}/use/").content.decode()
    assert f'data-notice="{policy.pk}"' in page and TERMS.purpose in page
    task = client.get(f"/deployments/{made.pk}/task/").content.decode()
    assert f'data-notice="{policy.pk}"' in task and TERMS.purpose in task
    chat = client.post(
        f"/deployments/{made.pk}/chat/", '{"messages": []}', content_type="application/json"
    )
    assert chat.status_code == 409
    row = client.post(
        f"/deployments/{made.pk}/task/run/", '{"input": "x"}', content_type="application/json",
        headers={"X-Fusebox-Notice": str(uuid7())},
    )  # fmt: skip
    assert row.json()["error"]["code"] == "notice_changed"


# --- reading --------------------------------------------------------------------------------------


def test_break_glass_reads_and_every_reading_is_an_event(
    policy: CapturePolicy, people: dict[str, User], actor_of: ActorOf
) -> None:
    content, opening = keep(policy, people["member"]), opened(actor_of)
    assert actions.list_content(actor=actor_of("audit"), opening=opening) == [content]
    for _each in range(2):
        _row, words = actions.view_content(actor=actor_of("audit"), opening=opening, pk=content.pk)
        assert words.turns == [("user", "a secret of mine")]
        assert words.answer == "So it is."
    views = Event.objects.filter(act="content.view")
    assert [event.severity for event in views] == [4, 4]
    assert all(b"case 7" in bytes(event.leaf) for event in views)
    assert not any(b"a secret of mine" in bytes(event.leaf) for event in Event.objects.all())


def test_case_40_a_system_administrator_is_refused_everywhere_and_it_is_recorded(
    policy: CapturePolicy,
    people: dict[str, User],
    actor_of: ActorOf,
    client_of: Callable[[str], Client],
) -> None:
    content, opening = keep(policy, people["member"]), opened(actor_of)
    client = client_of("system")
    paths = [
        "/capture/", "/content/", "/content/ask/", f"/content/{opening.pk}/",
        f"/content/{opening.pk}/{content.pk}/", "/api/v1/captures/", "/api/v1/openings/",
        f"/api/v1/openings/{opening.pk}/contents/",
        f"/api/v1/openings/{opening.pk}/contents/{content.pk}/",
    ]  # fmt: skip
    for number, path in enumerate(paths, start=1):
        answer = client.get(path)
        assert answer.status_code == 403, path
        assert b"secret of mine" not in answer.content
        denied = Event.objects.filter(act="authz.denied", actor_id=str(people["system"].pk))
        assert denied.count() == number, path
    assert client.get("/admin/").status_code == 404
    with pytest.raises(Denied):
        actions.view_content(actor=actor_of("system"), opening=opening, pk=content.pk)
    # What the database gives away by itself is no text.
    assert b"secret" not in bytes(content.body) + bytes(content.wrapped)


def test_case_41_when_the_time_is_over_in_the_middle_access_stops(
    policy: CapturePolicy,
    people: dict[str, User],
    actor_of: ActorOf,
    client_of: Callable[[str], Client],
) -> None:
    content, opening = keep(policy, people["member"]), opened(actor_of)
    client, path = client_of("audit"), f"/content/{opening.pk}/{content.pk}/"
    page = client.get(path)
    assert b"a secret of mine" in page.content
    assert "no-store" in page.headers["Cache-Control"]
    # The page itself goes when the time is over.
    found = re.search(rb'http-equiv="refresh" content="(\d+);', page.content)
    assert found and int(found[1]) <= opening.minutes * 60 + 1
    Opening.objects.filter(pk=opening.pk).update(ends_at=timezone.now())
    for late in (path, f"/content/{opening.pk}/", f"/api/v1/openings/{opening.pk}/contents/"):
        answer = client.get(late)
        assert answer.status_code == 409, late
        assert b"secret of mine" not in answer.content
    failures = Event.objects.filter(outcome="failure", act__startswith="content.")
    assert failures.count() == 3
    assert Event.objects.filter(act="content.view", outcome="success").count() == 1


def test_an_opening_is_for_its_reader_its_deployment_and_its_period(
    policy: CapturePolicy, people: dict[str, User], actor_of: ActorOf
) -> None:
    content, opening = keep(policy, people["member"]), opened(actor_of)
    other, _password = access.create_user(
        actor=Actor.system("tests"), username="audit2", role="audit"
    )
    from access import policy as door

    with pytest.raises(Missing):
        actions.view_content(actor=door.actor_for(other), opening=opening, pk=content.pk)
    Content.objects.filter(pk=content.pk).update(at=timezone.now() - timedelta(days=3))
    with pytest.raises(Missing):
        actions.view_content(actor=actor_of("audit"), opening=opening, pk=content.pk)


def test_the_second_person_can_close_it_early(
    policy: CapturePolicy, people: dict[str, User], actor_of: ActorOf
) -> None:
    content, opening = keep(policy, people["member"]), opened(actor_of)
    opening = actions.close_opening(actor=actor_of("security"), opening=opening)
    with pytest.raises(WrongState):
        actions.view_content(actor=actor_of("audit"), opening=opening, pk=content.pk)


# --- the end of its period ------------------------------------------------------------------------


def test_content_past_its_period_is_destroyed_with_its_key(
    policy: CapturePolicy, people: dict[str, User]
) -> None:
    old, new = keep(policy, people["member"]), keep(policy, people["mallory"])
    past = timezone.now() - timedelta(days=8)
    kept_in_a_backup = store.scope_of(Content(**{**_fields(old), "day": past.date()}))
    store.keys().made(kept_in_a_backup)
    Content.objects.filter(pk=old.pk).update(expires_at=past, day=past.date())
    assert actions.expire_content(actor=Actor.system("beat")) == 1
    assert actions.expire_content(actor=Actor.system("beat")) == 0
    assert list(Content.objects.all()) == [new]
    assert store.opened(new).answer == "So it is."
    with pytest.raises(KeyGone):
        store.keys().get(kept_in_a_backup)
    assert acts().count("content.expire") == 1


def _fields(row: Content) -> dict[str, object]:
    return {"deployment_id": row.deployment_id, "person_id": row.person_id}


@pytest.mark.parametrize("name", [cipher.AES, cipher.SM4])
def test_a_changed_byte_or_another_key_opens_nothing(name: str) -> None:
    outer = cipher.new_key()
    sealed, own = cipher.wrap(name, outer, b"words", b"context")
    assert cipher.unwrap(sealed, outer, b"context") == (b"words", own)
    changed = cipher.Sealed(name, sealed.wrapped, sealed.body[:-1] + bytes([sealed.body[-1] ^ 1]))
    attempts = [
        (sealed, cipher.new_key(), b"context"),
        (sealed, outer, b"other"),
        (changed, outer, b"context"),
    ]
    for attempt in attempts:
        with pytest.raises(cipher.Unreadable):
            cipher.unwrap(*attempt)


def test_what_a_hold_covers_outlives_its_period_and_its_key_stays(
    policy: CapturePolicy, people: dict[str, User], actor_of: ActorOf
) -> None:
    content, past = keep(policy, people["member"]), timezone.now() - timedelta(days=30)
    Content.objects.filter(pk=content.pk).update(expires_at=past, day=past.date())
    content.refresh_from_db()
    store.keys().made(store.scope_of(content))
    held = actions.hold(
        actor=actor_of("audit"), kind="deployment", value=str(DEPLOYMENT), reason="suit"
    )
    beat = Actor.system("beat")
    assert actions.expire_content(actor=beat) == 0
    assert store.is_readable(content)
    with pytest.raises(DatabaseError, match="a legal hold covers"), transaction.atomic():
        Content.objects.all().delete()
    asked = actions.release_hold(actor=actor_of("audit"), hold=held, reason="settled")
    access.approve(actor=actor_of("security"), proposal=asked)
    assert actions.expire_content(actor=beat) == 1
    assert not store.is_readable(content)
