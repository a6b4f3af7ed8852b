"""Scenarios: files that come with the product, the house's own, a deployment made of one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from access.errors import Invalid
from access.said import from_json
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from deployments import actions, runner, scenarios, trials
from deployments.models import Deployment, DeploymentState, Model, Node, StoredModel
from deployments.scenarios import SHIPPED, Malformed, Scenario
from tests.conftest import MODEL

FILES = sorted(SHIPPED.glob("*.toml"))
ALL = [pytest.param(scenarios.read(path), id=path.stem) for path in FILES]
ActorOf = Callable[[str], Actor]


def test_there_are_at_least_ten() -> None:
    assert len(FILES) >= 10


@pytest.mark.parametrize("scenario", ALL)
def test_a_scenario_speaks_both_languages(scenario: Scenario) -> None:
    for text in (scenario.zh.title, scenario.zh.summary, scenario.zh.prompt):
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text)
    assert scenario.en.prompt.isascii()
    assert all(sample.en != sample.zh for sample in scenario.samples)
    assert {model.size for model in scenario.models} == {"edge", "server", "special"}
    assert all(model.licence for model in scenario.models)


SHORT = 24
KINDS = {"empty", "cut", "left_out", "schema", "field", "word"}


@pytest.mark.parametrize("scenario", ALL)
def test_its_samples_run_through_the_harness(
    tmp_path: Path, settings: Settings, actor_of: ActorOf, model: Model, scenario: Scenario
) -> None:
    """All three, in English, on a real model. SmolLM2 is small and may be wrong: what is tested is
    that each is asked and judged. Answers are bounded to save time; a longer one is told to be cut,
    and one that was not cut is of the schema's shape."""
    settings.SCENARIOS = tmp_path
    short = re.sub(
        r"num_predict = \d+", f"num_predict = {SHORT}", scenario.path().read_text("utf-8")
    )
    (tmp_path / f"{scenario.key}.toml").write_text(short, "utf-8")
    operation = actions.try_scenario(
        actor=actor_of("system"), scenario=scenario.key, language="en", models=[model]
    )
    runner.run(str(operation.pk))
    operation.refresh_from_db()
    assert operation.state == "succeeded", operation.result
    (found,) = trials.tried(operation.result)
    assert found.asked == len(scenario.samples)
    for sample in found.samples:
        kinds = {problem["what"] for problem in sample["problems"]}
        assert kinds <= KINDS
        assert sample["text"].strip() or "empty" in kinds
        assert sample["tokens"] == SHORT if "cut" in kinds else sample["tokens"] <= SHORT
        if scenario.schema is not None and not kinds & {"cut", "empty"}:
            assert "schema" not in kinds


GOOD = (SHIPPED / "ticket-sorting.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('size = "edge"', 'size = "huge"'), "huge"),
        (("[zh]", "[de]"), "'zh' is missing"),
        (("title = ", "titel = "), "'title' is missing"),
        (("num_ctx = 2048", "num_ctx = 2"), "Context"),
        (("num_ctx = 2048", 'num_ctx = "many"'), "number"),
        (('"type": "object"', '"type": 3'), "no JSON schema"),
        (('{ category = "delivery"', '{ colour = "delivery"'), "the schema has not"),
        (('{ category = "delivery"', '{ category = "lost"'), "cannot be"),
        (("[parameters]", "[parameters"), "no TOML"),
        (('licence = "Apache-2.0"', ""), "'licence' is missing"),
    ],
)
def test_a_file_that_is_no_scenario_says_what_to_put_right(
    tmp_path: Path, change: tuple[str, str], problem: str
) -> None:
    path = tmp_path / "mine.toml"
    assert change[0] in GOOD
    path.write_text(GOOD.replace(*change), "utf-8")
    with pytest.raises(Malformed, match=problem):
        scenarios.read(path)


def test_a_file_of_another_encoding_or_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes("[zh]\ntitle = '分类'".encode("gb18030"))
    with pytest.raises(Malformed, match="UTF-8"):
        scenarios.read(path)
    path.write_text("#" * (scenarios.MAX_BYTES + 1))
    with pytest.raises(Malformed, match="larger"):
        scenarios.read(path)
    with pytest.raises(Malformed, match="cannot be read"):
        scenarios.read(tmp_path / "none.toml")


def test_files_of_the_house_are_added_and_broken_ones_shown(
    tmp_path: Path, settings: Settings, client_of: Callable[[str], Client]
) -> None:
    settings.SCENARIOS = tmp_path / "own"
    call_command("scenarios", "copy", "ticket-sorting", "--to", "our-sorting")
    call_command("scenarios", "copy", "translation")
    with pytest.raises(CommandError, match="already"):
        call_command("scenarios", "copy", "translation")
    (settings.SCENARIOS / "broken.toml").write_text("<script>alert(1)</script>")
    found = scenarios.catalogue()
    assert found.scenarios["our-sorting"].own
    assert found.scenarios["translation"].own
    assert list(found.broken) == ["broken.toml"]
    with pytest.raises(CommandError, match="1 cannot be read"):
        call_command("scenarios", "check")
    page = client_of("system").get("/scenarios/").content.decode()
    assert "broken.toml" in page
    assert "<script>alert" not in page
    assert client_of("system").get("/scenarios/our-sorting/file/").status_code == 200


def test_pages_show_the_recipe_in_either_language(
    client_of: Callable[[str], Client], node: Node
) -> None:
    client = client_of("system")
    page = client.get("/scenarios/invoice-fields/?language=zh").content.decode()
    assert "阅读发票" in page
    assert MODEL in page
    page = client.get("/scenarios/invoice-fields/?language=nonsense").content.decode()
    assert "Read the invoice" in page
    for absent in ("/scenarios/none/", "/scenarios/none/file/", "/api/v1/scenarios/none/"):
        assert client.get(absent).status_code == 404
    told = client.get("/api/v1/scenarios/").json()["results"]
    assert {each["key"] for each in told} >= {"invoice-fields", "translation"}
    assert client.get("/api/v1/scenarios/claims-triage/").json()["schema"]["type"] == "object"


def test_a_deployment_of_a_scenario_is_asked_its_sample(
    client_of: Callable[[str], Client], actor_of: ActorOf, node: Node
) -> None:
    model = StoredModel.objects.get(node=node, tag=MODEL).model
    actions.approve_model(actor=actor_of("security"), model=model, accept_licence=True)
    client = client_of("system")
    form = client.get(f"/deployments/create/?scenario=ticket-sorting&language=en&model={model.pk}")
    asked = form.context["form"]
    given = {name: asked[name].value() for name in asked.fields}
    answer = client.post(
        "/deployments/create/", {k: v for k, v in given.items() if v not in (None, [])}
    )
    assert answer.status_code == 302, answer.content.decode()[:3000]
    made = Deployment.objects.get(name="ticket-sorting")
    assert made.target is not None
    assert made.target.scenario == "ticket-sorting"
    assert b'"scenario"' in bytes(Event.objects.get(act="deployment.create").leaf)
    operation = made.operations.get()
    runner.run(str(operation.pk))
    made.refresh_from_db()
    assert made.state == DeploymentState.LIVE, made.problem
    replica = made.target.replicas.get()
    assert set(orjson.loads(replica.probe["text"])) == {"category", "urgent"}
    operation.refresh_from_db()
    assert any("parcel" in str(from_json(line["text"])) for line in operation.log)
    actions.delete(actor=actor_of("system"), deployment=made)
    runner.run(str(made.operations.latest("created_at").pk))


def test_a_scenario_that_cannot_be_is_refused(actor_of: ActorOf, node: Node) -> None:
    model = StoredModel.objects.get(node=node, tag=MODEL).model
    with pytest.raises(Invalid) as refused:
        actions.create_deployment(
            actor=actor_of("system"), name="x", model=model, scenario="../../etc/passwd"
        )
    assert refused.value.field == "scenario"
