"""The page of a task without a browser: columns, words of failures, spreadsheets, who may."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import openpyxl
import pytest
from django.test import Client
from django.utils import translation

from access import actions
from access.models import User
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from console import sheets, task_shape, task_words
from deployments.models import Deployment, Model, Revision
from gateway.judging import judge

SCHEMA = {
    "type": "object",
    "properties": {
        "total": {"type": "number", "title": "Total to pay"},
        "kind": {"enum": ["invoice", "other"]},
        "urgent": {"type": "boolean"},
        "lines": {"type": "array"},
    },
    "required": ["total"],
}


def test_columns_are_the_schemas_fields_the_required_ones_first() -> None:
    found = [(c["name"], c["title"], c["kind"]) for c in task_shape.columns(SCHEMA)]
    assert found == [
        ("total", "Total to pay", "number"),
        ("kind", "kind", "enum"),
        ("urgent", "urgent", "boolean"),
        ("lines", "lines", "json"),
    ]
    stored = {"properties": {"b": {}, "urgent": {}, "category": {}}, "required": ["category", "b"]}
    assert [c["name"] for c in task_shape.columns(stored)] == ["category", "b", "urgent"]
    assert task_shape.columns(None) == task_shape.columns({"type": "array"}) == []


@pytest.mark.parametrize(
    ("answer", "english", "chinese"),
    [
        ('{"total": "12"}', "“total” must be a number.", "“total”必须是数字。"),
        (
            '{"total": 1, "kind": "x"}',
            "“kind” must be one of: invoice, other.",
            "必须是以下之一",
        ),
        ("{}", "The field “total” is missing.", "缺少字段“total”。"),
        ("A poem instead.", "The answer is free text and not fields.", "自由文字"),
        ("[1]", "The answer breaks a rule of the form (type).", "不符合表单规则"),
    ],
)
def test_a_failure_is_said_in_the_readers_words(answer: str, english: str, chinese: str) -> None:
    reply = {"choices": [{"message": {"content": answer}}]}
    problems = [problem.shape() for problem in judge(reply, SCHEMA, 512).problems]
    error = {"code": "output_invalid", "problems": problems}
    assert task_words.said(error) == english
    with translation.override("zh-hans"):
        assert chinese in task_words.said(error)


def test_an_error_that_has_no_words_of_ours_keeps_its_own() -> None:
    assert task_words.said({"code": "new_one", "message": "Something new."}) == "Something new."


@pytest.mark.parametrize(
    ("given", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("  @SUM(A1)", "'  @SUM(A1)"),
        ("＝1", "'＝1"),
        ("-174.80", "-174.80"),
        ("-2+3", "'-2+3"),
        ("two\nlines", "two\nlines"),
        ("evil\u202etxt", "evil<U+202E>txt"),
    ],
)
def test_no_cell_begins_a_formula_and_numbers_stay_numbers(given: str, cell: str) -> None:
    data = sheets.as_csv([["head"], [given]])
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert rows == [["head"], [cell]]


def test_a_workbook_holds_strings_only() -> None:
    book = openpyxl.load_workbook(io.BytesIO(sheets.as_xlsx([["a", "b"], ["=1+1", "12"]])))
    [head, row] = list(book.worksheets[0].iter_rows())
    assert [cell.value for cell in row] == ["=1+1", "12"]
    assert {cell.data_type for cell in (*head, *row)} == {"s"}
    raw = "<r><t>shown</t></r>"
    book = openpyxl.load_workbook(io.BytesIO(sheets.as_xlsx([["a"], [raw], ["<r><bad</r>"]])))
    assert [cell.value for [cell] in book.worksheets[0]] == ["a", f"'{raw}", "'<r><bad</r>"]


def made(system_prompt: str = "Sort it.") -> Deployment:
    model = Model.objects.create(digest="a" * 64, name="m")
    deployment = Deployment.objects.create(name="sorter", state="live")
    revision = Revision.objects.create(
        deployment=deployment, number=1, model=model, schema=SCHEMA, system_prompt=system_prompt,
        parameters={"num_ctx": 512, "num_predict": 64},
    )  # fmt: skip
    Deployment.objects.update(current=revision, target=revision)
    return Deployment.objects.get()


def test_a_job_is_in_the_list_of_those_who_were_granted_it_and_of_nobody_else(
    client_of: Callable[[str], Client],
    actor_of: Callable[[str], Actor],
    people: dict[str, User],
) -> None:
    deployment = made()
    actions.grant(
        actor=actor_of("security"), deployment_id=deployment.pk, deployment_name="sorter",
        user=people["member"],
    )  # fmt: skip
    page = f"/deployments/{deployment.pk}/task/"
    assert page in client_of("member").get("/tasks/").content.decode()
    assert page not in client_of("mallory").get("/tasks/").content.decode()
    assert client_of("member").get(page).status_code == 200
    before = Event.objects.filter(act="authz.denied").count()
    refused = client_of("mallory").post(
        page + "run/", {"input": "x"}, content_type="application/json"
    )
    assert refused.status_code == 403
    assert Event.objects.filter(act="authz.denied").count() == before + 1


def test_what_is_no_table_is_refused(client_of: Callable[[str], Client]) -> None:
    member = client_of("member")
    bad: list[object] = [
        {},
        [],
        {"format": "exe", "rows": [["a"]]},
        {"format": "csv", "rows": [[1]]},
        {"format": "csv", "rows": []},
        {"format": "csv", "rows": [["a"]] * 502},
    ]
    for table in bad:
        answer = member.post("/tasks/sheet/", json.dumps(table), content_type="application/json")
        assert answer.status_code in (400, 422), table
    good = {"format": "csv", "rows": [["文字"], ["=1"]]}
    answer = member.post("/tasks/sheet/", json.dumps(good), content_type="application/json")
    assert answer.content == b"\xef\xbb\xbf" + "文字\r\n'=1\r\n".encode()
    assert "attachment" in answer.headers["Content-Disposition"]


def test_room_leaves_space_for_the_prompt_and_the_answer() -> None:
    revision = Revision(
        parameters={"num_ctx": 512, "num_predict": 64}, system_prompt="x" * 300, model=Model()
    )
    assert task_shape.room(revision) == 512 - 64 - 100 - task_shape.OVERHEAD
    revision.model.context_length = 256
    assert task_shape.room(revision) == task_shape.LEAST_ROOM
    assert task_shape.tokens("发票") == 2


def test_what_a_cell_cannot_hold_is_said_to_be_left_out() -> None:
    text = "x" * 40_000
    book = openpyxl.load_workbook(io.BytesIO(sheets.as_xlsx([["a"], [text], ["y" * 16_000]])))
    [_head, [long], [short]] = book.worksheets[0].iter_rows(values_only=True)
    assert isinstance(long, str) and isinstance(short, str)
    kept, mark = long.split(" […+")
    assert kept == "x" * len(kept) and int(mark.rstrip("]")) == 40_000 - len(kept)
    assert short == "y" * 16_000
