"""Trials: texts of one's own, one at a time, nothing pushed out, figures kept with the revision."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.actions import create_user
from access.errors import Invalid
from access.models import User
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from deployments import actions, ollama, own_samples, scenarios, trials
from deployments.lease import claim, next_in_line
from deployments.models import Deployment, Model, Node, Operation, Replica, Revision
from deployments.scenarios import SHIPPED
from deployments.tasks import forget_samples
from deployments.trial_places import spots
from tests.conftest import MODEL
from tests.deployments.test_trials import ask, ended, entry

ActorOf = Callable[[str], Actor]


def given(text: str, expected: str = "") -> own_samples.Given:
    return own_samples.Given(text, expected)


def test_texts_of_ones_own_are_for_the_eyes_of_who_typed_them(
    actor_of: ActorOf, model: Model, client_of: Callable[[str], Client], people: dict[str, User]
) -> None:
    """Figures and kinds of problems stay with the operation; the words go with their row."""
    own = [given("Frau Malewski waits for her parcel.", "category = delivery\nurgent = false")]
    operation = ask(actor_of("system"), [model], own=own)
    row = operation.own_samples.get()
    assert row.fields == {"category": "delivery", "urgent": False}
    answer = {"text": "secret answer", "problems": [{"what": "field", "detail": "who: Malewski"}]}
    row.answers = {str(model.pk): answer}
    row.save()
    figures = {"first_ms": 1, "total_ms": 2, "rate": 3.0, "tokens": 4, "text": "", "own": 1}
    sample = {**figures, "problems": [{"what": "field"}]}
    result = {str(model.pk): {"model": MODEL, "samples": [sample], "problem": "", "ended": True}}
    Operation.objects.filter(pk=operation.pk).update(
        state="succeeded", result=result, finished_at=timezone.now()
    )
    url = f"/scenarios/ticket-sorting/?language=en&trial={operation.pk}"
    mine = client_of("system").get(url).content.decode()
    assert "Frau Malewski" in mine
    assert "secret answer" in mine
    other, _password = create_user(
        actor=Actor.system("tests"), username="otto", display_name="Otto", role="system"
    )
    User.objects.filter(pk=other.pk).update(must_change_password=False)
    people["otto"] = other
    theirs = client_of("otto").get(url).content.decode()
    assert "Malewski" not in theirs
    assert "secret answer" not in theirs
    assert "A field is not what was expected" in theirs
    for event in Event.objects.filter(act__startswith="scenario."):
        assert b"Malewski" not in bytes(event.leaf)
    assert client_of("system").post(f"/trials/{operation.pk}/forget/").status_code == 302
    assert not operation.own_samples.exists()
    assert Event.objects.filter(act="scenario.forget").count() == 1
    gone = client_of("system").get(url).content.decode()
    assert "Malewski" not in gone
    assert "the figures stay" in gone


def test_texts_of_ones_own_go_by_themselves(actor_of: ActorOf, model: Model) -> None:
    operation = ask(actor_of("system"), [model], own=[given("My text.")])
    assert own_samples.overdue() == []
    long_ago = timezone.now() - own_samples.KEPT - timedelta(minutes=1)
    Operation.objects.filter(pk=operation.pk).update(state="cancelled", finished_at=long_ago)
    forget_samples()
    assert not operation.own_samples.exists()
    assert own_samples.overdue() == []


@pytest.mark.parametrize(
    ("own", "field", "told"),
    [
        ([given("", "category = other")], "text_1", "no text"),
        ([given("x"), given("y" * 8001)], "text_2", "8000"),
        ([given("x\x00")], "text_1", "NUL"),
        ([given("x", "colour = red")], "expected_1", "colour"),
        ([given("x", "category = lost")], "expected_1", "cannot be"),
        ([given("x", "urgent")], "expected_1", "field = value"),
        ([given("x")] * 4, "text_1", "At most 3"),
    ],
)
def test_texts_that_cannot_be_asked_are_refused(
    actor_of: ActorOf, model: Model, own: list[own_samples.Given], field: str, told: str
) -> None:
    with pytest.raises(Invalid, match=told) as refused:
        ask(actor_of("system"), [model], own=own)
    assert refused.value.field == field
    assert not Operation.objects.filter(kind="try").exists()


def test_what_was_typed_is_not_lost_to_a_mistake(
    client_of: Callable[[str], Client], model: Model
) -> None:
    posted = {
        "language": "en",
        "models": [str(model.pk)],
        "text_1": "A long text <b>of my own</b>",
        "expected_1": "colour = red",
    }
    answer = client_of("system").post("/scenarios/ticket-sorting/try/", posted)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "A long text &lt;b&gt;of my own&lt;/b&gt;" in page
    assert "which the schema has not" in page


def test_words_are_expected_where_there_is_no_schema() -> None:
    scenario = scenarios.read(SHIPPED / "translation.toml")
    (sample,) = own_samples.checked(scenario, [given("Room 210\r\n", " 210 \n\n室")])
    assert (sample.en, sample.words) == ("Room 210", ("210", "室"))


def test_one_trial_runs_at_a_time_and_the_next_one_says_so(
    actor_of: ActorOf, model: Model, client_of: Callable[[str], Client]
) -> None:
    first = ask(actor_of("system"), [model])
    second = ask(actor_of("system"), [model], "translation")
    third = ask(actor_of("system"), [model], "claims-triage")
    assert [o.ahead for o in (first, second, third)] == [0, 1, 2]
    assert claim(str(second.pk)) is None
    page = client_of("system").get("/scenarios/claims-triage/?language=en").content.decode()
    assert "2 trials are before this one" in page
    actions.cancel_operation(actor=actor_of("system"), operation=first)
    assert ended(first).state == "cancelled"
    assert next_in_line(first)[0] == str(second.pk)
    assert claim(str(third.pk)) is None
    assert claim(str(second.pk)) is not None


SERVING = {"state": "ready", "digest": "d"}


@pytest.fixture
def other_serves(node: Node, actor_of: ActorOf) -> Deployment:
    """Something of other weights serves on the node."""
    other = Model.objects.create(digest="f" * 64, name="other:1b", size_bytes=1)
    made = Deployment.objects.create(name="other", state="live")
    revision = Revision.objects.create(deployment=made, number=1, model=other)
    Replica.objects.create(revision=revision, node=node, **SERVING)
    return made


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"memory_declared": None, "machine": {}}, "serves other, and nobody told"),
        (
            {"memory_declared": 10**12, "server": {"at_once": 1}, "loaded": [{"name": "x"}]},
            "holds 1 model at a time and serves other",
        ),
        ({"memory_declared": 10**12, "loaded": []}, ""),
    ],
)
def test_a_trial_does_not_push_out_what_serves(
    model: Model, node: Node, other_serves: Deployment, change: dict[str, Any], told: str
) -> None:
    Node.objects.filter(pk=node.pk).update(**change)
    if not told:
        assert [s.stored.node for s in spots(model, 2048)] == [node]
        return
    with pytest.raises(ollama.ModelMissing, match=told):
        spots(model, 2048)


def test_where_the_same_weights_serve_their_context_is_used(model: Model, node: Node) -> None:
    """Another context would load the model anew under those who use it."""
    made = Deployment.objects.create(name="same", state="live")
    revision = Revision.objects.create(
        deployment=made, number=1, model=model, parameters={"num_ctx": 1024}
    )
    Replica.objects.create(revision=revision, node=node, **SERVING)
    (spot,) = spots(model, 8192)
    assert (spot.context, spot.shared) == (1024, True)
    assert {MODEL, "fusebox/same:r1"} <= set(spot.names)


def test_the_figures_are_kept_with_the_revision(
    actor_of: ActorOf, model: Model, client_of: Callable[[str], Client]
) -> None:
    operation = ask(actor_of("system"), [model], own=[given("A private text.")])
    scenario = scenarios.read(SHIPPED / "ticket-sorting.toml")
    recipe: dict[str, Any] = {
        "system_prompt": scenario.en.prompt,
        "parameters": scenario.parameters,
        "schema": scenario.schema,
        "scenario": scenario.key,
    }
    with pytest.raises(Invalid, match="not ended"):
        actions.create_deployment(
            actor=actor_of("system"), name="sorter", model=model, trial=operation, **recipe
        )
    result = {str(model.pk): {**entry(5, [], []), "model": MODEL, "digest": model.digest}}
    Operation.objects.filter(pk=operation.pk).update(state="succeeded", result=result)
    operation.refresh_from_db()
    with pytest.raises(Invalid, match="no trial of this scenario"):
        actions.create_deployment(
            actor=actor_of("system"),
            name="sorter",
            model=model,
            trial=operation,
            **{**recipe, "scenario": "translation"},
        )
    client = client_of("system")
    address = f"/deployments/create/?scenario=ticket-sorting&language=en&trial={operation.pk}"
    form = client.get(f"{address}&model={model.pk}").context["form"]
    posted = {name: form[name].value() for name in form.fields}
    filled = {name: value for name, value in posted.items() if value not in (None, [])}
    assert client.post("/deployments/create/", filled).status_code == 302
    made = Deployment.objects.get(name="ticket-sorting")
    assert made.target is not None
    kept = made.target.evaluations.get()
    assert kept.result["same_recipe"]
    assert kept.result["proposed"] == kept.result["digest"] == model.digest
    assert kept.result["own"] == 1
    assert "private" not in str(kept.result)
    page = client.get(f"/deployments/{made.pk}/").content.decode()
    assert "How it was chosen" in page
    assert "2 / 2" in page
    changed = actions.create_deployment(
        actor=actor_of("system"),
        name="sorter",
        model=model,
        trial=operation,
        **{**recipe, "system_prompt": "Something else."},
    )
    assert changed.target is not None
    assert not changed.target.evaluations.get().result["same_recipe"]


def test_a_scenario_edited_meanwhile_is_not_tried_on(actor_of: ActorOf, model: Model) -> None:
    operation = ask(actor_of("system"), [model])
    changed = {**operation.arguments, "recipe": "other"}
    Operation.objects.filter(pk=operation.pk).update(arguments=changed)
    assert "begin again" in str(ended(operation).problem)


def test_a_model_that_vanished_is_named_and_the_others_are_tried(
    actor_of: ActorOf, model: Model
) -> None:
    operation = ask(actor_of("system"), [model])
    gone = {"models": ["0" * 8 + str(model.pk)[8:]]}
    names = {gone["models"][0]: "gone:1b"}
    Operation.objects.filter(pk=operation.pk).update(
        arguments={**operation.arguments, **gone, "names": names}
    )
    (found,) = trials.tried(ended(operation).result)
    assert (found.model, str(found.problem)) == ("gone:1b", "No node has this model any more.")
