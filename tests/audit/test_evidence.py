"""The evidence pack: what each framework's clauses are answered, in both languages, and why red."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone, translation
from pytest_django import Settings

from access.errors import Denied, Missing
from access.models import User
from audit.ledger.actor import Actor
from audit.ledger.models import Event, Leaf
from audit.office import actions
from audit.office.evidence import checks_log, checks_people, checks_use, pack, paper
from audit.office.evidence.finding import ATTENTION, NO_CLAIM, OK, RED
from audit.office.models import (
    Alarm,
    AlarmRule,
    CapturePolicy,
    Channel,
    Content,
    Erasure,
    Hold,
    OutsideCopy,
    RunState,
    Verification,
)
from audit.office.outside_models import Witness
from tests.audit.test_content import DEPLOYMENT, keep

# Rights and triggers are asked over a connection of its own; sealed rows need committed ones.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("key", pack.FRAMEWORKS)
def test_every_clause_is_whole_in_both_languages_and_asks_what_there_is(key: str) -> None:
    data = pack.read(key)
    assert len({clause["clause"] for clause in data["clauses"]}) == len(data["clauses"])
    for clause in data["clauses"]:
        assert clause["mark"] in pack.MARKS
        for name in ("text", "what", *(["note"] if "note" in clause else [])):
            assert clause[name]["en"].strip() and clause[name]["zh"].strip(), clause["clause"]
        assert set(clause["checks"]) <= set(pack.CHECKS), clause["clause"]


def test_every_question_is_asked_by_some_clause() -> None:
    asked = {n for k in pack.FRAMEWORKS for c in pack.read(k)["clauses"] for n in c["checks"]}
    assert asked | {"keys", "time_stamps"} == set(pack.CHECKS)


@pytest.mark.parametrize("key", pack.FRAMEWORKS)
def test_the_command_prints_the_promised_shape(key: str, people: dict[str, User]) -> None:
    out = io.StringIO()
    call_command("evidence", "--framework", key, stdout=out)
    told = json.loads(out.getvalue())
    assert told["framework"] == key
    assert len(told["clauses"]) == len(pack.read(key)["clauses"])
    for clause in told["clauses"]:
        assert {"clause", "text", "what", "setting", "proof", "verdict"} <= set(clause)
        assert clause["verdict"] in (OK, ATTENTION, RED, NO_CLAIM)
        if clause["verdict"] != NO_CLAIM:
            assert clause["setting"] and clause["proof"], clause["clause"]
        if clause["certainty"] != "read":
            assert clause["text"].startswith("[text ")
    assert Event.objects.filter(act="audit.make_evidence", object_id=key).count() == 1


def test_in_chinese_there_is_no_english_sentence_left(people: dict[str, User]) -> None:
    with translation.override("zh-hans"):
        for key in pack.FRAMEWORKS:
            for clause in pack.build(key).as_json()["clauses"]:
                for name in ("text", "what", *(["setting"] if clause["checks"] else [])):
                    assert any("\u4e00" <= c <= "\u9fff" for c in clause[name]), clause
                for check in clause["checks"]:
                    assert any("\u4e00" <= c <= "\u9fff" for c in check["proof"]), check


def test_on_paper_it_has_every_clause(people: dict[str, User]) -> None:
    assert paper.print_pack(pack.build("mlps-l3")).startswith(b"%PDF")


def test_only_the_audit_administrator_makes_one(actor_of: Callable[[str], Actor]) -> None:
    actions.make_evidence(actor=actor_of("audit"), framework="soc2")
    for name in ("system", "security", "member"):
        with pytest.raises(Denied):
            actions.make_evidence(actor=actor_of(name), framework="soc2")
    with pytest.raises(Missing):
        actions.make_evidence(actor=actor_of("audit"), framework="../soc2")


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_page_shows_each_clause_and_escapes_what_others_wrote(
    client_of: Callable[[str], Client], language: str
) -> None:
    OutsideCopy.objects.create(
        name="siem", address="<b>siem</b>", confirmed_at=timezone.now(), position=3
    )
    client = client_of("audit")
    client.cookies["fusebox_language"] = language
    page = client.get("/audit/evidence/mlps-l3/").content.decode()
    assert page.count('aria-labelledby="c-') == len(pack.read("mlps-l3")["clauses"])
    assert "&lt;b&gt;siem&lt;/b&gt;" in page
    assert client.get("/audit/evidence/nothing/").status_code == 404
    answer = client.get("/audit/evidence/mlps-l3/paper/")
    assert answer["Content-Type"] == "application/pdf"


# --- each verdict is an answer of this installation --------------------------------------------


def test_no_copy_outside_is_red_and_a_late_one_too() -> None:
    assert checks_log.outside().verdict == RED
    copy = OutsideCopy.objects.create(name="folder", address="/w", confirmed_at=timezone.now())
    assert checks_log.outside().verdict == OK
    OutsideCopy.objects.filter(pk=copy.pk).update(problem="away")
    assert checks_log.outside().verdict == RED


def test_time_stamps_alone_are_no_copy() -> None:
    OutsideCopy.objects.create(name="tsa", address="tsa", confirmed_at=timezone.now())
    assert checks_log.outside().verdict == RED


def test_a_witness_is_a_copy_until_it_is_late_or_alarmed() -> None:
    seen = Witness.objects.create(
        name="w", vkey="v", sha256=b"s", confirmed_at=timezone.now(), size=7
    )
    found = checks_log.outside()
    assert found.verdict == OK
    assert "up to event 7: w" in str(found.proof)
    Witness.objects.filter(pk=seen.pk).update(alarm="fork: x")
    assert checks_log.outside().verdict == RED
    late = timezone.now() - timedelta(days=3)
    Witness.objects.filter(pk=seen.pk).update(alarm="", confirmed_at=late)
    assert checks_log.outside().verdict == RED


def test_a_log_that_was_never_verified_or_found_harmed_is_red(
    actor_of: Callable[[str], Actor],
) -> None:
    assert checks_log.verified().verdict == RED
    report = actions.verify(actor=actor_of("audit"), certificate=None)
    assert report.exit_code != 0
    Verification.objects.create(requester="t", state=RunState.DONE, exit_code=report.exit_code)
    assert checks_log.verified().verdict == RED


def test_a_guard_that_somebody_took_away_is_red() -> None:
    """The tests' own database lacks the guards against TRUNCATE: the question finds that."""
    found = checks_log.append_only()
    assert found.verdict == RED
    assert "no_truncate is missing" in str(found.proof)


def test_an_office_without_anybody_is_red(people: dict[str, User]) -> None:
    assert checks_people.roles().verdict == OK
    User.objects.filter(role="audit").update(is_active=False)
    assert checks_people.roles().verdict == RED


@pytest.mark.parametrize(
    ("name", "value", "check", "verdict"),
    [
        ("BEHIND_TLS", False, checks_people.tls, RED),
        ("BEHIND_TLS", True, checks_people.tls, OK),
        ("AXES_FAILURE_LIMIT", 50, checks_people.lockout, ATTENTION),
        ("SESSION_COOKIE_AGE", 86_400, checks_people.idle, ATTENTION),
        ("REQUIRE_MODEL_APPROVAL", False, checks_use.model_approval, RED),
        ("ENFORCE_FIRST_PASSWORD_CHANGE", False, checks_people.first_passwords, RED),
    ],
)
def test_a_setting_decides(
    settings: Settings, name: str, value: Any, check: Callable[[], Any], verdict: str
) -> None:
    setattr(settings, name, value)
    assert check().verdict == verdict


def test_what_this_version_lacks_is_red() -> None:
    assert checks_people.second_factor().verdict == RED
    assert checks_use.labels().verdict == RED


def test_nothing_kept_of_words_is_in_order_and_what_outlives_its_period_is_red(
    people: dict[str, User], settings: Settings, tmp_path: Path
) -> None:
    settings.CONTENT_KEYS = tmp_path
    assert checks_use.content().verdict == OK
    policy = CapturePolicy.objects.create(
        deployment_id=DEPLOYMENT, deployment_name="claims", purpose="p", necessity="n",
        prompt=True, answer=True, percent=100, days=7, proposer_id=people["security"].pk,
    )  # fmt: skip
    assert checks_use.content().verdict == ATTENTION
    assert "claims" in str(checks_use.content().setting)
    words = keep(policy, people["member"])
    Content.objects.filter(pk=words.pk).update(expires_at=timezone.now() - timedelta(days=1))
    assert checks_use.content().verdict == RED
    Hold.objects.create(
        kind="deployment", value=str(DEPLOYMENT), reason="suit", set_by=people["audit"].pk
    )
    assert checks_use.content().verdict == ATTENTION


def test_an_erasure_that_is_overdue_is_red(people: dict[str, User]) -> None:
    made = Erasure.objects.create(
        person_id=people["member"].pk, basis="request", proposer_id="a", approver_id="b"
    )
    assert checks_use.erasure().verdict == OK
    Erasure.objects.filter(pk=made.pk).update(due_at=timezone.now() - timedelta(days=1))
    assert checks_use.erasure().verdict == RED


def test_alarms_that_nobody_hears_or_answers_are_to_be_looked_at() -> None:
    assert checks_use.alarms().verdict == ATTENTION
    Channel.objects.create(name="mail", kind="email", address="a@b.example")
    assert checks_use.alarms().verdict == OK
    Alarm.objects.create(rule="denials", opened_at=timezone.now() - timedelta(days=4))
    assert checks_use.alarms().verdict == ATTENTION
    AlarmRule.objects.create(key="denials", problem="it broke")
    assert checks_use.alarms().verdict == RED


def test_retention_names_the_policy_and_the_holds(
    happen: Callable[..., object], settings: Settings
) -> None:
    happen()
    Leaf.objects.create(tree=1, position=0, event_id=Event.objects.get().pk, leaf_hash=b"",
                        sealed_at=timezone.now())  # fmt: skip
    found = checks_log.kept_long_enough()
    assert found.verdict == OK
    assert "Kept 365 days" in str(found.setting) and "1096" in str(found.setting)
    settings.RETENTION_FLOOR_DAYS = 400
    assert checks_log.kept_long_enough().verdict == RED
